// A team of threads a sample: its scores are read three times while they stay in the cache, and nothing but the loss or the
// gradient is written. Sums over samples are folded in double, first within a block, then by one block over the blocks' sums; the
// gradient of a mean takes the total weight from a launch of its own before, unless every sample weighs 1.
#include "kernels/api/cross_entropy.h"

#include <cmath>

#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/team.cuh"

namespace tandem::cuda {
namespace {

constexpr int64_t kWeightBlocks = 64, kWeightChunk = 4 * kBlock;

// The samples of one call: rows of scores with a label each.
template <class T>
struct Samples {
  AxisRows rows;
  const T* scores;
  const T* weights;  // null: all 1
  const int32_t* labels32;
  const int64_t* labels64;  // one of both is null
  int64_t ignored = 0;
  bool ignores;

  Samples(const LossViews& views, const LossOptions& options)
      : rows(AxisView(views.scores.shape, 1)),
        scores(views.scores.as<T>().data()),
        weights(views.weights ? views.weights.as<T>().data() : nullptr),
        labels32(views.labels.dtype == DType::kI32 ? views.labels.as<int32_t>().data() : nullptr),
        labels64(labels32 ? nullptr : views.labels.as<int64_t>().data()),
        ignored(options.ignore_index.value_or(0)),
        ignores(options.ignore_index.has_value()) {}

  bool all_weigh_one() const { return !weights && !ignores; }

  __device__ int64_t label(int64_t s) const { return labels32 ? labels32[s] : labels64[s]; }
  __device__ bool is_ignored(int64_t label) const { return ignores && label == ignored; }
  __device__ bool is_class(int64_t label) const { return label >= 0 && label < rows.length && !is_ignored(label); }
  // 0 for an ignored sample, NaN for a label that is none.
  __device__ Compute<T> weight(int64_t label) const {
    if (!is_class(label)) return is_ignored(label) ? 0 : NAN;
    return weights ? widen(weights[label]) : Compute<T>{1};
  }
};

struct Part {
  double loss, weight;
};

// Where the loss of a sample goes: to its own place, or into the sum of its block.
template <class T>
__device__ void put_loss(T* losses, Part* parts, bool counts, int64_t sample, double loss, double weight) {
  if (losses) {
    if (counts) losses[sample] = narrow<T>(static_cast<Compute<T>>(loss));
    return;
  }
  loss = block_reduce<kBlock>(counts ? loss : 0.0, Sum());
  weight = block_reduce<kBlock>(counts ? weight : 0.0, Sum());
  if (threadIdx.x == 0) parts[blockIdx.x] = {loss, weight};
}

template <class T>
__device__ Compute<T> max_score(const AxisRows& rows, const T* scores, int64_t first) {
  Compute<T> peak = -INFINITY;
  for (int64_t c = rows.team.lane(); c < rows.extent(); c += rows.team.lanes)
    peak = Max()(widen(scores[first + c * rows.inner]), peak);
  return rows.team.reduce(peak, Max());
}

template <class T>
__device__ Compute<T> sum_exp(const AxisRows& rows, const T* scores, int64_t first, Compute<T> peak) {
  Compute<T> sum = 0;
  for (int64_t c = rows.team.lane(); c < rows.extent(); c += rows.team.lanes)
    sum += std::exp(widen(scores[first + c * rows.inner]) - peak);
  return rows.team.reduce(sum, Sum());
}

template <class T>
__global__ void __launch_bounds__(kBlock) cross_entropy_rows(Samples<T> samples, T* losses, Part* parts, T* log_probs) {
  const AxisRows& rows = samples.rows;
  const int64_t first = rows.first();
  const Compute<T> peak = max_score(rows, samples.scores, first);
  const Compute<T> log_sum = std::log(sum_exp(rows, samples.scores, first, peak));
  const bool counts = rows.row() < rows.count && rows.team.lane() == 0;
  Compute<T> loss = 0, weight = 0;
  if (counts) {
    const int64_t label = samples.label(rows.row());
    weight = samples.weight(label);
    loss = samples.is_class(label) ? weight * (log_sum - (widen(samples.scores[first + label * rows.inner]) - peak)) : weight;
  }
  if (log_probs)
    for (int64_t c = rows.team.lane(); c < rows.extent(); c += rows.team.lanes)
      log_probs[first + c * rows.inner] = narrow<T>(widen(samples.scores[first + c * rows.inner]) - peak - log_sum);
  put_loss(losses, parts, counts, rows.row(), loss, weight);
}

// A thread a sample.
template <class T>
__global__ void __launch_bounds__(kBlock) likelihood_samples(Samples<T> samples, T* losses, Part* parts) {
  const AxisRows& rows = samples.rows;
  const bool counts = rows.row() < rows.count;
  Compute<T> loss = 0, weight = 0;
  if (counts) {
    const int64_t label = samples.label(rows.row());
    weight = samples.weight(label);
    loss = samples.is_class(label) ? -weight * widen(samples.scores[rows.first() + label * rows.inner]) : weight;
  }
  put_loss(losses, parts, counts, rows.row(), loss, weight);
}

// One block.
template <class T>
__global__ void __launch_bounds__(kBlock) sum_losses(const Part* parts, int64_t count, bool mean, T* loss) {
  double total = 0, weight = 0;
  for (int64_t i = threadIdx.x; i < count; i += kBlock) {
    total += parts[i].loss;
    weight += parts[i].weight;
  }
  total = block_reduce<kBlock>(total, Sum());
  weight = block_reduce<kBlock>(weight, Sum());
  if (threadIdx.x == 0) loss[0] = narrow<T>(static_cast<Compute<T>>(mean ? total / weight : total));
}

// Samples [blockIdx.x * chunk, + chunk) into totals[blockIdx.x].
template <class T>
__global__ void __launch_bounds__(kBlock) sum_weights(Samples<T> samples, int64_t chunk, double* totals) {
  const int64_t first = blockIdx.x * chunk, end = first + chunk < samples.rows.count ? first + chunk : samples.rows.count;
  double total = 0;
  for (int64_t s = first + threadIdx.x; s < end; s += kBlock) total += samples.weight(samples.label(s));
  total = block_reduce<kBlock>(total, Sum());
  if (threadIdx.x == 0) totals[blockIdx.x] = total;
}

// What the gradient of a sample is multiplied by, its class weight aside.
template <class T>
struct GradScale {
  const T* loss_grad;
  bool of_sample;        // one a sample
  const double* totals;  // of the weights of the samples, by parts; null: `count` of them weigh 1
  int64_t parts;
  double count;

  // REQUIRES: all threads call.
  __device__ double operator()(int64_t sample, bool counts) const {
    double total = count;
    if (totals) {
      total = 0;
      for (int64_t i = threadIdx.x % 32; i < parts; i += 32) total += totals[i];
      total = warp_reduce(total, Sum());
    }
    return counts ? widen(loss_grad[of_sample ? sample : 0]) / total : 0;
  }
};

// The factor of this thread's sample, and its label.
template <class T>
__device__ Compute<T> sample_scale(const Samples<T>& samples, const GradScale<T>& grad_scale, int64_t& label) {
  const bool counts = samples.rows.row() < samples.rows.count;
  label = counts ? samples.label(samples.rows.row()) : 0;
  const auto scale = static_cast<Compute<T>>(grad_scale(samples.rows.row(), counts));
  return counts && !samples.is_ignored(label) ? samples.weight(label) * scale : 0;
}

// grads may be the memory of the scores.
template <class T>
__global__ void __launch_bounds__(kBlock) cross_entropy_grad_rows(Samples<T> samples, GradScale<T> grad_scale, T* grads) {
  const AxisRows& rows = samples.rows;
  const int64_t first = rows.first();
  int64_t label;
  const Compute<T> scale = sample_scale(samples, grad_scale, label);
  const Compute<T> peak = max_score(rows, samples.scores, first);
  const Compute<T> share = scale / sum_exp(rows, samples.scores, first, peak);
  const bool ignored = samples.is_ignored(label);
#pragma unroll(sizeof(T) < 8 ? 4 : 1)
  for (int64_t c = rows.team.lane(); c < rows.extent(); c += rows.team.lanes) {
    const int64_t at = first + c * rows.inner;
    const Compute<T> grad = std::exp(widen(samples.scores[at]) - peak) * share - (c == label ? scale : Compute<T>{0});
    grads[at] = narrow<T>(ignored ? Compute<T>{0} : grad);
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) likelihood_grad_rows(Samples<T> samples, GradScale<T> grad_scale, T* grads) {
  const AxisRows& rows = samples.rows;
  const int64_t first = rows.first();
  int64_t label;
  const Compute<T> scale = sample_scale(samples, grad_scale, label);
  const Compute<T> elsewhere = scale == scale ? Compute<T>{0} : scale;  // NaN everywhere for a label that is none
  for (int64_t c = rows.team.lane(); c < rows.extent(); c += rows.team.lanes)
    grads[first + c * rows.inner] = narrow<T>(c == label ? -scale : elsewhere);
}

template <class U>
U* workspace_of(const KernelContext& context, int64_t count) {
  ensure(static_cast<size_t>(count) * sizeof(U) <= context.workspace.size(), "the loss's workspace is too small", count,
         context.workspace.size());
  return reinterpret_cast<U*>(context.workspace.data());
}

// Launches forward(losses, parts), and what sums the parts unless there is a loss for each sample.
template <class T, class Forward>
void with_reduction(const KernelContext& context, const Grid& grid, TensorView loss, LossReduction reduction, Forward forward) {
  T* out = loss.as<T>().data();
  if (reduction == LossReduction::kNone) return forward(out, static_cast<Part*>(nullptr));
  Part* parts = workspace_of<Part>(context, grid.blocks);
  forward(static_cast<T*>(nullptr), parts);
  launch<sum_losses<T>>(context, {.blocks = 1, .threads = kBlock}, static_cast<const Part*>(parts), grid.blocks,
                        reduction == LossReduction::kMean, out);
}

template <class T>
GradScale<T> grad_scale_of(const KernelContext& context, const Samples<T>& samples, ConstTensorView loss_grad,
                           LossReduction reduction) {
  const int64_t count = samples.rows.count;
  GradScale<T> scale{loss_grad.as<T>().data(), reduction == LossReduction::kNone, nullptr, 0, 1};
  if (reduction != LossReduction::kMean) return scale;
  scale.count = static_cast<double>(count);
  if (samples.all_weigh_one() || count == 0) return scale;
  const int64_t chunk = std::max(kWeightChunk, ceil_div(count, kWeightBlocks));
  scale.parts = ceil_div(count, chunk);
  double* totals = workspace_of<double>(context, scale.parts);
  scale.totals = totals;
  launch<sum_weights<T>>(context, {.blocks = scale.parts, .threads = kBlock}, samples, chunk, totals);
  return scale;
}

}  // namespace

// No other way to deal the samples takes more blocks than that of contiguous rows.
size_t cross_entropy_workspace(const Shape& scores) {
  const int64_t samples = scores[0] * scores.product(2, scores.rank());
  const int64_t blocks = ceil_div(samples, team_for_rows(scores[1]).rows());
  return static_cast<size_t>(std::max(blocks, kWeightBlocks)) * sizeof(Part);
}

void softmax_cross_entropy(const KernelContext& context, const LossViews& views, TensorView loss, TensorView log_prob,
                           const LossOptions& options) {
  cuda::visit_float(views.scores.dtype, [&]<class T>() {
    const Samples<T> samples(views, options);
    const Grid grid = samples.rows.grid();
    T* log_probs = log_prob ? log_prob.as<T>().data() : nullptr;
    with_reduction<T>(context, grid, loss, options.reduction, [&](T* losses, Part* parts) {
      launch<cross_entropy_rows<T>>(context, grid, samples, losses, parts, log_probs);
    });
  });
}

void negative_log_likelihood(const KernelContext& context, const LossViews& views, TensorView loss, const LossOptions& options) {
  cuda::visit_float(views.scores.dtype, [&]<class T>() {
    Samples<T> samples(views, options);
    samples.rows.team = {.lanes = 1, .interleaved = true};
    const Grid grid = samples.rows.grid();
    with_reduction<T>(context, grid, loss, options.reduction,
                      [&](T* losses, Part* parts) { launch<likelihood_samples<T>>(context, grid, samples, losses, parts); });
  });
}

void softmax_cross_entropy_grad(const KernelContext& context, const LossViews& views, ConstTensorView loss_grad,
                                TensorView scores_grad, const LossOptions& options) {
  cuda::visit_float(views.scores.dtype, [&]<class T>() {
    const Samples<T> samples(views, options);
    const GradScale<T> scale = grad_scale_of(context, samples, loss_grad, options.reduction);
    launch<cross_entropy_grad_rows<T>>(context, samples.rows.grid(), samples, scale, scores_grad.as<T>().data());
  });
}

void negative_log_likelihood_grad(const KernelContext& context, const LossViews& views, ConstTensorView loss_grad,
                                  TensorView scores_grad, const LossOptions& options) {
  cuda::visit_float(views.scores.dtype, [&]<class T>() {
    const Samples<T> samples(views, options);
    const GradScale<T> scale = grad_scale_of(context, samples, loss_grad, options.reduction);
    launch<likelihood_grad_rows<T>>(context, samples.rows.grid(), samples, scale, scores_grad.as<T>().data());
  });
}

}  // namespace tandem::cuda
