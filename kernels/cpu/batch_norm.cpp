// A channel is a set of runs, contiguous pieces of the tensor: one a batch item. Without spatial axes the runs would be single
// elements, so the channel is gathered into a thread's scratch instead and becomes one run.
#include "kernels/api/batch_norm.h"

#include <omp.h>

#include <cmath>

#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kElementsPerThread = 16 * 1024;  // below this a second thread costs more than it brings
constexpr int kScratchRows = 2;                    // x and dy

int64_t scratch_row_elements(int64_t batch) { return round_up(batch, 16); }

// Where the runs of one channel lie.
struct Runs {
  int64_t count, length, stride;
};

struct Channels {
  int64_t batch, channels, inner;
  explicit Channels(const Shape& x) : batch(x[0]), channels(x[1]), inner(x.product(2, x.rank())) {}

  bool gathers() const { return inner == 1; }
  int64_t size() const { return batch * inner; }  // elements of a channel
  Runs runs() const { return gathers() ? Runs{1, batch, 0} : Runs{batch, inner, channels * inner}; }

  // The first run of channel c; `slot` is the scratch row used to gather.
  template <class T>
  const T* load(const KernelContext& context, const T* x, int64_t c, int slot) const {
    if (!gathers()) return x + c * inner;
    T* row = scratch<T>(context, slot);
    for (int64_t n = 0; n < batch; ++n) row[n] = x[n * channels + c];
    return row;
  }
  // Where to write channel c, and, afterwards, the way from there to y.
  template <class T>
  T* target(const KernelContext& context, T* y, int64_t c, int slot) const {
    return gathers() ? scratch<T>(context, slot) : y + c * inner;
  }
  template <class T>
  void store(const T* from, T* y, int64_t c) const {
    if (!gathers()) return;
    for (int64_t n = 0; n < batch; ++n) y[n * channels + c] = from[n];
  }

 private:
  template <class T>
  T* scratch(const KernelContext& context, int slot) const {
    const int64_t row = scratch_row_elements(batch);
    return reinterpret_cast<T*>(context.workspace.data()) + (omp_get_thread_num() * kScratchRows + slot) * row;
  }
};

template <class Body>
void for_each_channel(const KernelContext& context, const Channels& channels, Body body) {
#pragma omp parallel for num_threads(context.threads) if (channels.size() * channels.channels >= \
                                                          kElementsPerThread * context.threads)
  for (int64_t c = 0; c < channels.channels; ++c) body(c);
}

// The sum over runs of term(first element of the run).
template <class Term>
double sum_runs(const Runs& runs, Term term) {
  double total = 0;
  for (int64_t r = 0; r < runs.count; ++r) total += static_cast<double>(term(r * runs.stride));
  return total;
}

struct Statistics {
  double mean, var;
};

template <class T>
Statistics statistics(const simd::RowOps<T>& row, const T* x, const Runs& runs) {
  const double n = static_cast<double>(runs.count * runs.length);
  const double mean = sum_runs(runs, [&](int64_t at) { return row.sum(x + at, runs.length); }) / n;
  const T center = static_cast<T>(mean);
  return {mean, sum_runs(runs, [&](int64_t at) { return row.squared_deviation(x + at, runs.length, center); }) / n};
}

template <class T>
void normalize(const simd::RowOps<T>& row, const T* x, T* y, const Runs& runs, Statistics of, double scale, double bias,
               double epsilon) {
  const double factor = scale / std::sqrt(of.var + epsilon);
  const T slope = static_cast<T>(factor), offset = static_cast<T>(bias - of.mean * factor);
  for (int64_t r = 0; r < runs.count; ++r) row.affine(x + r * runs.stride, y + r * runs.stride, runs.length, slope, offset);
}

template <class T>
T* data_or_null(TensorView view) {
  return view ? view.as<T>().data() : nullptr;
}

// The gradients of one channel; sums over the channel of dy and of dy * (x - mean) give all three.
template <class T>
struct ChannelGrad {
  const simd::RowOps<T>& row;
  Runs runs;
  double scale, inverse;  // inverse = 1 / sqrt(var + epsilon)
  Statistics of;

  double sum_dy(const T* dy) const {
    return sum_runs(runs, [&](int64_t at) { return row.sum(dy + at, runs.length); });
  }
  double sum_centered(const T* x, const T* dy) const {
    const T center = static_cast<T>(of.mean);
    return sum_runs(runs, [&](int64_t at) { return row.dot(x + at, dy + at, runs.length, center); });
  }
  // dx = a * dy + b * x + c, where b and c are the way through the statistics
  void write_dx(const T* x, const T* dy, T* dx, double total_dy, double total_centered, bool through_statistics) const {
    const double n = static_cast<double>(runs.count * runs.length);
    const double a = scale * inverse;
    const double b = through_statistics ? -a * inverse * inverse * total_centered / n : 0;
    const double c = through_statistics ? -a * total_dy / n - b * of.mean : 0;
    for (int64_t r = 0; r < runs.count; ++r) {
      const int64_t at = r * runs.stride;
      row.combine(dy + at, x + at, dx + at, runs.length, static_cast<T>(a), static_cast<T>(b), static_cast<T>(c));
    }
  }
};

}  // namespace

size_t batch_norm_workspace(const Shape& x, DType dtype, int threads) {
  // Whatever the plane: that of a smaller image may be one element.
  return static_cast<size_t>(threads * kScratchRows * scratch_row_elements(x[0])) * size_of(dtype);
}

void batch_norm(const KernelContext& context, const BatchNormViews& views, TensorView y, double epsilon) {
  visit_float(views.x.dtype, [&]<class T>() {
    const Channels channels(views.x.shape);
    const auto& row = simd::row_ops<T>();
    const auto scale = views.scale.as<T>(), bias = views.bias.as<T>(), mean = views.mean.as<T>(), var = views.var.as<T>();
    T* out = y.as<T>().data();
    for_each_channel(context, channels, [&](int64_t c) {
      const auto i = static_cast<size_t>(c);
      const T* x = channels.load(context, views.x.as<T>().data(), c, 0);
      T* target = channels.target(context, out, c, 0);
      normalize(row, x, target, channels.runs(), Statistics{mean[i], var[i]}, scale[i], bias[i], epsilon);
      channels.store(target, out, c);
    });
  });
}

void batch_norm_train(const KernelContext& context, const BatchNormViews& views, TensorView y, TensorView new_mean,
                      TensorView new_var, double epsilon, double momentum) {
  visit_float(views.x.dtype, [&]<class T>() {
    const Channels channels(views.x.shape);
    const auto& row = simd::row_ops<T>();
    const auto scale = views.scale.as<T>(), bias = views.bias.as<T>(), mean = views.mean.as<T>(), var = views.var.as<T>();
    T *out = y.as<T>().data(), *out_mean = data_or_null<T>(new_mean), *out_var = data_or_null<T>(new_var);
    for_each_channel(context, channels, [&](int64_t c) {
      const auto i = static_cast<size_t>(c);
      const T* x = channels.load(context, views.x.as<T>().data(), c, 0);
      T* target = channels.target(context, out, c, 0);
      const Statistics of = statistics(row, x, channels.runs());
      normalize(row, x, target, channels.runs(), of, scale[i], bias[i], epsilon);
      channels.store(target, out, c);
      if (out_mean) out_mean[i] = static_cast<T>(momentum * mean[i] + (1 - momentum) * of.mean);
      if (out_var) out_var[i] = static_cast<T>(momentum * var[i] + (1 - momentum) * of.var);
    });
  });
}

void batch_norm_grad(const KernelContext& context, const BatchNormGradViews& views, double epsilon) {
  visit_float(views.x.dtype, [&]<class T>() {
    const Channels channels(views.x.shape);
    const auto& row = simd::row_ops<T>();
    const auto scale = views.scale.as<T>();
    const bool own_statistics = !views.mean;
    T *dx = data_or_null<T>(views.dx), *dscale = data_or_null<T>(views.dscale), *dbias = data_or_null<T>(views.dbias);
    for_each_channel(context, channels, [&](int64_t c) {
      const auto i = static_cast<size_t>(c);
      const T* x = channels.load(context, views.x.as<T>().data(), c, 0);
      const T* dy = channels.load(context, views.dy.as<T>().data(), c, 1);
      const Statistics of =
          own_statistics ? statistics(row, x, channels.runs()) : Statistics{views.mean.as<T>()[i], views.var.as<T>()[i]};
      const ChannelGrad<T> grad{row, channels.runs(), scale[i], 1 / std::sqrt(of.var + epsilon), of};
      const double total_dy = grad.sum_dy(dy), total_centered = grad.sum_centered(x, dy);
      if (dscale) dscale[i] = static_cast<T>(total_centered * grad.inverse);
      if (dbias) dbias[i] = static_cast<T>(total_dy);
      if (!dx) return;
      T* target = channels.target(context, dx, c, 0);
      grad.write_dx(x, dy, target, total_dy, total_centered, own_statistics);
      channels.store(target, dx, c);
    });
  });
}

}  // namespace tandem::cpu
