// A sample is one row of C scores; samples of an N-D problem lie `inner` apart and are gathered into scratch first. The
// log-softmax is never stored unless asked for: the gradient computes it again, which costs one exp and saves a tensor of the
// size of the scores.
#include "kernels/api/cross_entropy.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kElementsPerThread = 8 * 1024;  // below this a second thread costs more than it brings
constexpr int64_t kIgnored = -1;

int64_t scratch_row_elements(int64_t classes) { return round_up(classes, 16); }

// The samples of one call, their labels checked.
template <class T>
struct Samples {
  int64_t count, classes, inner;
  const T* scores;
  const T* weights;  // null: all 1
  ConstTensorView labels;
  std::optional<int64_t> ignore_index;

  Samples(const LossViews& views, const LossOptions& options)
      : classes(views.scores.shape[1]),
        inner(views.scores.shape.product(2, views.scores.shape.rank())),
        scores(views.scores.as<T>().data()),
        weights(views.weights ? views.weights.as<T>().data() : nullptr),
        labels(views.labels),
        ignore_index(options.ignore_index) {
    count = views.scores.shape[0] * inner;
    for (int64_t s = 0; s < count; ++s) {
      const int64_t label = raw_label(s);
      require((label >= 0 && label < classes) || label == ignore_index, "label is outside [0, classes) (sample, label, classes)",
              s, label, classes);
    }
  }

  int64_t raw_label(int64_t s) const {
    return labels.dtype == DType::kI32 ? labels.as<int32_t>()[static_cast<size_t>(s)]
                                       : labels.as<int64_t>()[static_cast<size_t>(s)];
  }
  int64_t label(int64_t s) const {
    const int64_t label = raw_label(s);
    return label == ignore_index ? kIgnored : label;
  }
  T weight(int64_t label) const { return label == kIgnored ? T{0} : weights ? weights[label] : T{1}; }
  int64_t first(int64_t s) const { return s / inner * classes * inner + s % inner; }
  double total_weight() const {
    double total = 0;
    for (int64_t s = 0; s < count; ++s) total += weight(label(s));
    return total;
  }
};

// Workspace: one double a sample, then one row a thread.
template <class T>
T* scratch_row(const KernelContext& context, int64_t samples, int64_t classes) {
  T* rows = reinterpret_cast<T*>(context.workspace.data() + round_up(samples, 8) * static_cast<int64_t>(sizeof(double)));
  return rows + omp_get_thread_num() * scratch_row_elements(classes);
}

// The scores of sample s, contiguous.
template <class T>
const T* gather(const KernelContext& context, const Samples<T>& samples, int64_t s) {
  const T* first = samples.scores + samples.first(s);
  if (samples.inner == 1) return first;
  T* row = scratch_row<T>(context, samples.count, samples.classes);
  for (int64_t c = 0; c < samples.classes; ++c) row[c] = first[c * samples.inner];
  return row;
}

// Puts the losses of the samples, already weighted, into `loss` as the reduction wants.
template <class T>
void reduce_losses(const Samples<T>& samples, const double* losses, TensorView loss, LossReduction reduction) {
  T* out = loss.as<T>().data();
  if (reduction == LossReduction::kNone) {
    for (int64_t s = 0; s < samples.count; ++s) out[s] = static_cast<T>(losses[s]);
    return;
  }
  double total = 0;
  for (int64_t s = 0; s < samples.count; ++s) total += losses[s];
  out[0] = static_cast<T>(reduction == LossReduction::kMean ? total / samples.total_weight() : total);
}

// What the gradient of sample s is multiplied by, its class weight aside.
template <class T>
struct GradScale {
  const T* loss_grad;
  LossReduction reduction;
  double total = 1;
  GradScale(const Samples<T>& samples, ConstTensorView grad, LossReduction r) : loss_grad(grad.as<T>().data()), reduction(r) {
    if (r == LossReduction::kMean) total = samples.total_weight();
  }
  T operator()(int64_t s) const {
    return reduction == LossReduction::kNone ? loss_grad[s] : static_cast<T>(static_cast<double>(loss_grad[0]) / total);
  }
};

}  // namespace

size_t cross_entropy_workspace(const Shape& scores, DType dtype, int threads) {
  const int64_t samples = scores[0] * scores.product(2, scores.rank());
  const int64_t row_bytes = scratch_row_elements(scores[1]) * static_cast<int64_t>(size_of(dtype));
  return static_cast<size_t>(round_up(samples, 8) * static_cast<int64_t>(sizeof(double)) + threads * row_bytes);
}

void softmax_cross_entropy(const KernelContext& context, const LossViews& views, TensorView loss, TensorView log_prob,
                           const LossOptions& options) {
  visit_float(views.scores.dtype, [&]<class T>() {
    const Samples<T> samples(views, options);
    const auto& row = simd::row_ops<T>();
    double* losses = reinterpret_cast<double*>(context.workspace.data());
    T* log_probs = log_prob ? log_prob.as<T>().data() : nullptr;
    const int64_t classes = samples.classes;
#pragma omp parallel for num_threads(context.threads) if (samples.count * classes >= kElementsPerThread * context.threads)
    for (int64_t s = 0; s < samples.count; ++s) {
      const T* scores = gather(context, samples, s);
      const T peak = row.max(scores, classes);
      const T log_sum = std::log(row.sum_exp(scores, classes, peak));
      const int64_t label = samples.label(s);
      losses[s] = label == kIgnored ? 0 : static_cast<double>(samples.weight(label) * (log_sum - (scores[label] - peak)));
      if (log_probs == nullptr) continue;
      T* out = log_probs + samples.first(s);
      for (int64_t c = 0; c < classes; ++c) out[c * samples.inner] = scores[c] - peak - log_sum;
    }
    reduce_losses(samples, losses, loss, options.reduction);
  });
}

void softmax_cross_entropy_grad(const KernelContext& context, const LossViews& views, ConstTensorView loss_grad,
                                TensorView scores_grad, const LossOptions& options) {
  visit_float(views.scores.dtype, [&]<class T>() {
    const Samples<T> samples(views, options);
    const GradScale<T> grad_scale(samples, loss_grad, options.reduction);
    const auto& row = simd::row_ops<T>();
    T* out = scores_grad.as<T>().data();
    const int64_t classes = samples.classes;
#pragma omp parallel for num_threads(context.threads) if (samples.count * classes >= kElementsPerThread * context.threads)
    for (int64_t s = 0; s < samples.count; ++s) {
      const int64_t label = samples.label(s), first = samples.first(s);
      T* grads = samples.inner == 1 ? out + first : scratch_row<T>(context, samples.count, classes);
      if (label == kIgnored) {
        for (int64_t c = 0; c < classes; ++c) out[first + c * samples.inner] = 0;
        continue;
      }
      const T* scores = gather(context, samples, s);
      const T scale = samples.weight(label) * grad_scale(s);
      const T sum = row.exp(scores, grads, classes, row.max(scores, classes));
      row.affine(grads, grads, classes, scale / sum, 0);
      grads[label] -= scale;
      if (samples.inner != 1)
        for (int64_t c = 0; c < classes; ++c) out[first + c * samples.inner] = grads[c];
    }
  });
}

void negative_log_likelihood(const KernelContext& context, const LossViews& views, TensorView loss, const LossOptions& options) {
  visit_float(views.scores.dtype, [&]<class T>() {
    const Samples<T> samples(views, options);
    double* losses = reinterpret_cast<double*>(context.workspace.data());
    for (int64_t s = 0; s < samples.count; ++s) {
      const int64_t label = samples.label(s);
      losses[s] = label == kIgnored
                      ? 0
                      : static_cast<double>(-samples.weight(label) * samples.scores[samples.first(s) + label * samples.inner]);
    }
    reduce_losses(samples, losses, loss, options.reduction);
  });
}

void negative_log_likelihood_grad(const KernelContext&, const LossViews& views, ConstTensorView loss_grad, TensorView scores_grad,
                                  const LossOptions& options) {
  visit_float(views.scores.dtype, [&]<class T>() {
    const Samples<T> samples(views, options);
    const GradScale<T> grad_scale(samples, loss_grad, options.reduction);
    const auto out = scores_grad.as<T>();
    std::fill(out.begin(), out.end(), T{0});
    for (int64_t s = 0; s < samples.count; ++s) {
      const int64_t label = samples.label(s);
      if (label == kIgnored) continue;
      out[static_cast<size_t>(samples.first(s) + label * samples.inner)] = -samples.weight(label) * grad_scale(s);
    }
  });
}

}  // namespace tandem::cpu
