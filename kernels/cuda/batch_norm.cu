// A channel is an output of a reduction over all other axes and is dealt to threads as there (device/reduction.cuh). Where
// channels are few, each is cut into chunks: a first launch leaves the moments of every chunk in the workspace, the second joins
// them (Chan, Golub and LeVeque 1979) and normalizes; else one launch does both. A chunk's variance is taken around its own mean,
// so a large mean costs no digits. Training reads x three times and writes y; the gradient reads x four times, dy twice and
// writes dx: what repeats comes from the cache while a chunk fits there.
#include "kernels/api/batch_norm.h"

#include <cmath>

#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduction.cuh"

namespace tandem::cuda {
namespace {

constexpr AxisMask kAllButChannels = ~AxisMask{2};

// Of a chunk or a channel: mean and sum of squared deviations from it.
struct Moments {
  double mean, squares;
};
// The same, and the sums of dy and of dy * (x - mean).
struct GradMoments {
  double mean, squares, dy, product;
};

struct Statistics {
  double mean, var;
};

// value(offset) summed over the thread's chunk, by its whole team.
template <class T, class Value>
__device__ double sum_chunk(const ReductionPlan& plan, Value value) {
  Walk walk(plan);
  return plan.team.reduce(fold_walk<double, Compute<T>>(walk, 0.0, value, Sum()), Sum());
}

template <class T>
__device__ Moments moments_of_chunk(const ReductionPlan& plan, const T* x) {
  const double mean =
      sum_chunk<T>(plan, [=](int64_t at) { return widen(x[at]); }) / static_cast<double>(plan.size_of_chunk(blockIdx.y));
  const auto center = static_cast<Compute<T>>(mean);
  const double squares = sum_chunk<T>(plan, [=](int64_t at) {
    const Compute<T> deviation = widen(x[at]) - center;
    return deviation * deviation;
  });
  return {mean, squares};
}

// value(chunk) summed over the chunks of this thread's channel, by its whole team.
template <class Value>
__device__ double sum_chunks(const ReductionPlan& plan, Value value) {
  double total = 0;
  if (plan.active())
    for (int64_t c = plan.team.lane(); c < plan.chunks; c += plan.team.lanes) total += value(plan.output() * plan.chunks + c, c);
  return plan.team.reduce(total, Sum());
}

template <class Part>
__device__ Moments join_moments(const ReductionPlan& plan, const Part* parts) {
  const auto n = static_cast<double>(plan.layout.reduced.total);
  const double mean =
      sum_chunks(plan, [&](int64_t i, int64_t c) { return parts[i].mean * static_cast<double>(plan.size_of_chunk(c)); }) / n;
  const double squares = sum_chunks(plan, [&](int64_t i, int64_t c) {
    const double apart = parts[i].mean - mean;
    return parts[i].squares + apart * apart * static_cast<double>(plan.size_of_chunk(c));
  });
  return {mean, squares};
}

// y = (x - mean) * factor + bias over the thread's chunk. y may be x.
template <class T>
__device__ void normalize(const ReductionPlan& plan, const T* x, T* y, Statistics of, double epsilon, const T* scale,
                          const T* bias) {
  Walk walk(plan);
  if (walk.left == 0) return;
  const auto factor = static_cast<Compute<T>>(static_cast<double>(widen(scale[plan.output()])) / std::sqrt(of.var + epsilon));
  const auto mean = static_cast<Compute<T>>(of.mean), offset = widen(bias[plan.output()]);
#pragma unroll(sizeof(T) < 8 ? 4 : 1)
  for (; walk.left > 0; walk.advance()) y[walk.at()] = narrow<T>((widen(x[walk.at()]) - mean) * factor + offset);
}

template <class T>
__global__ void __launch_bounds__(kBlock) batch_norm_infer(ReductionPlan plan, const T* x, const T* scale, const T* bias,
                                                           const T* mean, const T* var, T* y, double epsilon) {
  if (!plan.active()) return;
  const int64_t c = plan.output();
  normalize(plan, x, y, {widen(mean[c]), widen(var[c])}, epsilon, scale, bias);
}

template <class T>
__global__ void __launch_bounds__(kBlock) batch_norm_moments(ReductionPlan plan, const T* x, Moments* parts) {
  const Moments of = moments_of_chunk(plan, x);
  if (plan.active() && plan.team.lane() == 0) parts[plan.output() * plan.chunks + blockIdx.y] = of;
}

template <class T>
struct Running {
  const T *mean, *var;
  T *new_mean, *new_var;  // each may be null, or the memory of the old
  double momentum;

  __device__ void carry_on(int64_t channel, Statistics of) const {
    if (new_mean)
      new_mean[channel] = narrow<T>(static_cast<Compute<T>>(momentum * widen(mean[channel]) + (1 - momentum) * of.mean));
    if (new_var) new_var[channel] = narrow<T>(static_cast<Compute<T>>(momentum * widen(var[channel]) + (1 - momentum) * of.var));
  }
};

// `parts` is null where a channel is one chunk.
template <class T>
__global__ void __launch_bounds__(kBlock)
    batch_norm_normalize(ReductionPlan plan, const Moments* parts, const T* x, const T* scale, const T* bias, T* y,
                         Running<T> running, double epsilon) {
  const Moments moments = parts ? join_moments(plan, parts) : moments_of_chunk(plan, x);
  const Statistics of{moments.mean, moments.squares / static_cast<double>(plan.layout.reduced.total)};
  if (!plan.active()) return;
  if (blockIdx.y == 0 && plan.team.lane() == 0) running.carry_on(plan.output(), of);
  normalize(plan, x, y, of, epsilon, scale, bias);
}

// Given statistics, or the channel's own.
template <class T>
struct GivenStatistics {
  const T *mean, *var;  // null: own
};

template <class T>
__device__ GradMoments grad_moments_of_chunk(const ReductionPlan& plan, const T* x, const T* dy, GivenStatistics<T> given) {
  Moments of{0, 0};
  if (!given.mean)
    of = moments_of_chunk(plan, x);
  else if (plan.active())
    of.mean = widen(given.mean[plan.output()]);
  const auto center = static_cast<Compute<T>>(of.mean);
  double sum = 0, product = 0;
  Walk walk(plan);
  while (walk.left > 0) {  // as fold_walk, two sums at once
    Compute<T> run = 0, run_product = 0;
    const int n = walk.left < kRun ? static_cast<int>(walk.left) : kRun;
#pragma unroll(sizeof(T) < 8 ? 4 : 1)
    for (int i = 0; i < n; ++i, walk.advance()) {
      const Compute<T> grad = widen(dy[walk.at()]);
      run += grad;
      run_product += grad * (widen(x[walk.at()]) - center);
    }
    sum += run;
    product += run_product;
  }
  return {of.mean, of.squares, plan.team.reduce(sum, Sum()), plan.team.reduce(product, Sum())};
}

// Products around the means of chunks become products around the channel's.
__device__ inline GradMoments join_grad_moments(const ReductionPlan& plan, const GradMoments* parts) {
  const Moments of = join_moments(plan, parts);
  const double sum = sum_chunks(plan, [&](int64_t i, int64_t) { return parts[i].dy; });
  const double product =
      sum_chunks(plan, [&](int64_t i, int64_t) { return parts[i].product + (parts[i].mean - of.mean) * parts[i].dy; });
  return {of.mean, of.squares, sum, product};
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    batch_norm_grad_moments(ReductionPlan plan, const T* x, const T* dy, GivenStatistics<T> given, GradMoments* parts) {
  const GradMoments of = grad_moments_of_chunk(plan, x, dy, given);
  if (plan.active() && plan.team.lane() == 0) parts[plan.output() * plan.chunks + blockIdx.y] = of;
}

template <class T>
struct Gradients {
  T *dx, *dscale, *dbias;  // each may be null
};

// dx = a * dy + b * (x - mean) + c, where b and c are the way through the channel's own statistics. dx may be dy or x.
template <class T>
__global__ void __launch_bounds__(kBlock, 3)
    batch_norm_gradients(ReductionPlan plan, const GradMoments* parts, const T* x, const T* dy, const T* scale,
                         GivenStatistics<T> given, Gradients<T> out, double epsilon) {
  const GradMoments of = parts ? join_grad_moments(plan, parts) : grad_moments_of_chunk(plan, x, dy, given);
  if (!plan.active()) return;
  const int64_t channel = plan.output();
  const auto n = static_cast<double>(plan.layout.reduced.total);
  const double inverse = 1 / std::sqrt((given.var ? static_cast<double>(widen(given.var[channel])) : of.squares / n) + epsilon);
  if (blockIdx.y == 0 && plan.team.lane() == 0) {
    if (out.dscale) out.dscale[channel] = narrow<T>(static_cast<Compute<T>>(of.product * inverse));
    if (out.dbias) out.dbias[channel] = narrow<T>(static_cast<Compute<T>>(of.dy));
  }
  if (!out.dx) return;
  const double slope = static_cast<double>(widen(scale[channel])) * inverse;
  const auto a = static_cast<Compute<T>>(slope), mean = static_cast<Compute<T>>(of.mean);
  const auto b = static_cast<Compute<T>>(given.mean ? 0 : -slope * inverse * inverse * of.product / n);
  const auto c = static_cast<Compute<T>>(given.mean ? 0 : -slope * of.dy / n);
#pragma unroll(sizeof(T) < 8 ? 4 : 1)
  for (Walk walk(plan); walk.left > 0; walk.advance()) {
    const int64_t at = walk.at();
    out.dx[at] = narrow<T>(a * widen(dy[at]) + (b * (widen(x[at]) - mean) + c));
  }
}

template <class T>
const T* data_or_null(ConstTensorView view) {
  return view ? view.as<T>().data() : nullptr;
}
template <class T>
T* data_or_null(TensorView view) {
  return view ? view.as<T>().data() : nullptr;
}

// Where the chunks of the plan leave their part; null where a channel is one chunk.
template <class Part>
Part* parts_of(const KernelContext& context, const ReductionPlan& plan) {
  if (plan.chunks == 1) return nullptr;
  ensure(static_cast<size_t>(plan.layout.kept.total * plan.chunks) * sizeof(Part) <= context.workspace.size(),
         "batch normalization's workspace is too small", context.workspace.size());
  return reinterpret_cast<Part*>(context.workspace.data());
}

template <class T>
__global__ void __launch_bounds__(kBlock) fill(T* y, int64_t n, Compute<T> value) {
  for (int64_t i = first_index(); i < n; i += index_stride()) y[i] = narrow<T>(value);
}

// Without elements there is nothing to plan: statistics are NaN, sums 0. Each view may be null.
void fill_channels(const KernelContext& context, std::initializer_list<TensorView> views, float value) {
  for (const TensorView& view : views) {
    if (!view) continue;
    cuda::visit_float(view.dtype, [&]<class T>() {
      launch<fill<T>>(context, grid_for(view.elements()), view.as<T>().data(), view.elements(), static_cast<Compute<T>>(value));
    });
  }
}

}  // namespace

size_t batch_norm_workspace(const Shape& x) {
  return static_cast<size_t>(ReductionPlan::most_chunks(x.elements())) * sizeof(GradMoments);
}

void batch_norm(const KernelContext& context, const BatchNormViews& views, TensorView y, double epsilon) {
  if (views.x.elements() == 0) return;
  const ReductionPlan plan(views.x.shape, kAllButChannels);
  cuda::visit_float(views.x.dtype, [&]<class T>() {
    launch<batch_norm_infer<T>>(context, plan.grid(), plan, views.x.as<T>().data(), views.scale.as<T>().data(),
                                views.bias.as<T>().data(), views.mean.as<T>().data(), views.var.as<T>().data(), y.as<T>().data(),
                                epsilon);
  });
}

void batch_norm_train(const KernelContext& context, const BatchNormViews& views, TensorView y, TensorView new_mean,
                      TensorView new_var, double epsilon, double momentum) {
  if (views.x.elements() == 0) return fill_channels(context, {new_mean, new_var}, NAN);
  const ReductionPlan plan(views.x.shape, kAllButChannels);
  Moments* parts = parts_of<Moments>(context, plan);
  cuda::visit_float(views.x.dtype, [&]<class T>() {
    const T* x = views.x.as<T>().data();
    const Running<T> running{views.mean.as<T>().data(), views.var.as<T>().data(), data_or_null<T>(new_mean),
                             data_or_null<T>(new_var), momentum};
    if (parts) launch<batch_norm_moments<T>>(context, plan.grid(), plan, x, parts);
    launch<batch_norm_normalize<T>>(context, plan.grid(), plan, static_cast<const Moments*>(parts), x, views.scale.as<T>().data(),
                                    views.bias.as<T>().data(), y.as<T>().data(), running, epsilon);
  });
}

void batch_norm_grad(const KernelContext& context, const BatchNormGradViews& views, double epsilon) {
  if (views.x.elements() == 0) return fill_channels(context, {views.dscale, views.dbias}, 0);
  const ReductionPlan plan(views.x.shape, kAllButChannels);
  GradMoments* parts = parts_of<GradMoments>(context, plan);
  cuda::visit_float(views.x.dtype, [&]<class T>() {
    const T *x = views.x.as<T>().data(), *dy = views.dy.as<T>().data();
    const GivenStatistics<T> given{data_or_null<T>(views.mean), data_or_null<T>(views.var)};
    const Gradients<T> out{data_or_null<T>(views.dx), data_or_null<T>(views.dscale), data_or_null<T>(views.dbias)};
    if (parts) launch<batch_norm_grad_moments<T>>(context, plan.grid(), plan, x, dy, given, parts);
    launch<batch_norm_gradients<T>>(context, plan.grid(), plan, static_cast<const GradMoments*>(parts), x, dy,
                                    views.scale.as<T>().data(), given, out, epsilon);
  });
}

}  // namespace tandem::cuda
