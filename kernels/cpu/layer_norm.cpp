// Forward: one thread a row. Backward: one sweep over the rows, kRowsTogether at a time, whose sums of columns (scale and bias) are kept; these
// are added afterwards in the order of rows. So no sum depends on the threads.
#include "kernels/api/layer_norm.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kElementsPerThread = 16 * 1024;  // below this a second thread costs more than it brings
constexpr int64_t kColumnBlock = 256;  // at most, a multiple of 64
constexpr int64_t kRowsTogether = 16;

template <class T>
struct RowStatistics {
  T mean, inverse;
};

enum class Mean : uint8_t { kOfRow, kZero };  // layer or RMS normalization

template <class T>
RowStatistics<T> statistics(const simd::RowOps<T>& row, const T* x, int64_t length, double epsilon, Mean about) {
  const double n = static_cast<double>(length);
  const T mean = about == Mean::kZero ? T{0} : static_cast<T>(static_cast<double>(row.sum(x, length)) / n);
  const double var = static_cast<double>(row.squared_deviation(x, length, mean)) / n;
  return {mean, static_cast<T>(1 / std::sqrt(var + epsilon))};
}

template <class T>
T* data_or_null(TensorView view) {
  return view ? view.as<T>().data() : nullptr;
}

// Workspace: sums of dscale and of dbias for each kRowsTogether rows, then one row a thread.
int64_t row_elements(int64_t length) { return round_up(length, 16); }
int64_t sum_elements(int64_t rows, int64_t length) { return 2 * ceil_div(rows, kRowsTogether) * row_elements(length); }

// dscale or dbias: columns [first, last) of `count` sums in T, `stride` apart, added in double.
template <class T>
void add_sums(const T* sums, int64_t count, int64_t stride, int64_t first, int64_t last, T* out) {
  std::array<double, kColumnBlock> total{};
  for (int64_t i = 0; i < count; ++i)
    for (int64_t c = first; c < last; ++c) total[static_cast<size_t>(c - first)] += static_cast<double>(sums[i * stride + c]);
  for (int64_t c = first; c < last; ++c) out[c] = static_cast<T>(total[static_cast<size_t>(c - first)]);
}

// dx = inverse * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * scale, as a combination of g and x.
template <class T>
void row_grad(const simd::RowOps<T>& row, const T* dy, const T* x, const T* scale, RowStatistics<T> of, Mean about, T* g,
              T* dx, int64_t length) {
  row.product(dy, scale, g, length, 0);
  const double n = static_cast<double>(length), inverse = of.inverse;
  const double mean_g = about == Mean::kZero ? 0 : static_cast<double>(row.sum(g, length)) / n;
  const double mean_g_xhat = static_cast<double>(row.dot(x, g, length, of.mean)) * inverse / n;
  const double x_scale = -inverse * inverse * mean_g_xhat;
  const double offset = -inverse * mean_g - x_scale * static_cast<double>(of.mean);
  row.combine(g, x, dx, length, of.inverse, static_cast<T>(x_scale), static_cast<T>(offset));
}

void normalize(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon, Mean about) {
  visit_float(views.x.dtype, [&]<class T>() {
    const auto& row = simd::row_ops<T>();
    const T* x = views.x.as<T>().data();
    const T* scale = views.scale.as<T>().data();
    const T* bias = views.bias ? views.bias.as<T>().data() : nullptr;
    T* y = views.y.as<T>().data();
    float *means = data_or_null<float>(views.mean), *inverses = data_or_null<float>(views.inverse);
#pragma omp parallel for num_threads(context.threads) if (rows * length >= kElementsPerThread * context.threads)
    for (int64_t r = 0; r < rows; ++r) {
      const RowStatistics<T> of = statistics(row, x + r * length, length, epsilon, about);
      T* out = y + r * length;
      const T* centred = x + r * length;
      if (about == Mean::kOfRow) {
        row.affine(centred, out, length, 1, -of.mean);
        centred = out;
      }
      row.affine(centred, out, length, of.inverse, 0);
      if (bias != nullptr)
        row.multiply_add(out, scale, bias, out, length);
      else
        row.product(out, scale, out, length, 0);
      if (means) means[r] = static_cast<float>(of.mean);
      if (inverses) inverses[r] = static_cast<float>(of.inverse);
    }
  });
}

void normalize_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon,
                    Mean about) {
  visit_float(views.x.dtype, [&]<class T>() {
    const auto& row = simd::row_ops<T>();
    const T *dy = views.dy.as<T>().data(), *x = views.x.as<T>().data(), *scale = views.scale.as<T>().data();
    T *dx = data_or_null<T>(views.dx), *dscale = data_or_null<T>(views.dscale), *dbias = data_or_null<T>(views.dbias);
    const int64_t blocks = ceil_div(rows, kRowsTogether), width = row_elements(length);
    T* sums = reinterpret_cast<T*>(context.workspace.data());  // [blocks][scale, bias][width]
    T* scratch = sums + sum_elements(rows, length);
    const bool split = rows * length >= kElementsPerThread * context.threads, sums_wanted = dscale || dbias;
#pragma omp parallel for num_threads(context.threads) if (split) schedule(static)
    for (int64_t b = 0; b < blocks; ++b) {
      T *g = scratch + omp_get_thread_num() * width, *scale_sum = sums + 2 * b * width, *bias_sum = scale_sum + width;
      std::fill_n(scale_sum, 2 * width, T{0});
      for (int64_t r = b * kRowsTogether; r < std::min(rows, (b + 1) * kRowsTogether); ++r) {
        const T *grad = dy + r * length, *row_x = x + r * length;
        const RowStatistics<T> of = statistics(row, row_x, length, epsilon, about);
        if (sums_wanted) {  // before dx, which may be the memory of dy or x
          row.product(grad, row_x, g, length, -of.mean);
          row.combine(scale_sum, g, scale_sum, length, 1, of.inverse, 0);
          row.combine(bias_sum, grad, bias_sum, length, 1, 1, 0);
        }
        if (dx) row_grad(row, grad, row_x, scale, of, about, g, dx + r * length, length);
      }
    }
    if (!sums_wanted || length == 0) return;
    const int64_t columns = std::min(kColumnBlock, round_up(ceil_div(length, context.threads), 64));
#pragma omp parallel for num_threads(context.threads) if (split) schedule(static)
    for (int64_t first = 0; first < length; first += columns) {
      const int64_t last = std::min(length, first + columns);
      if (dscale) add_sums(sums, blocks, 2 * width, first, last, dscale);
      if (dbias) add_sums(sums + width, blocks, 2 * width, first, last, dbias);
    }
  });
}

}  // namespace

size_t layer_norm_grad_workspace(int64_t rows, int64_t length, DType dtype, int threads) {
  return static_cast<size_t>(sum_elements(rows, length) + threads * row_elements(length)) * size_of(dtype);
}

void layer_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize(context, views, rows, length, epsilon, Mean::kOfRow);
}
void layer_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize_grad(context, views, rows, length, epsilon, Mean::kOfRow);
}
void rms_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize(context, views, rows, length, epsilon, Mean::kZero);
}
void rms_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize_grad(context, views, rows, length, epsilon, Mean::kZero);
}

}  // namespace tandem::cpu
