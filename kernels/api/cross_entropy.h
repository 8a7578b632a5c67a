// Softmax cross-entropy and negative log-likelihood over class axis 1 of scores [N, C, d...] with labels [N, d...] (ONNX
// SoftmaxCrossEntropyLoss-13 and NegativeLogLikelihoodLoss-13), and the gradients with respect to the scores.
//
// Labels are i32 or i64 in [0, C), or equal to ignore_index: such samples count for nothing. `weights` [C] is optional. Throws
// InvalidArgument for any other label. Sums over samples are taken in double, in the order of the samples.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

enum class LossReduction : uint8_t { kNone, kMean, kSum };

struct LossOptions {
  LossReduction reduction = LossReduction::kMean;
  std::optional<int64_t> ignore_index;
};

struct LossViews {
  ConstTensorView scores, labels, weights;  // weights may be null
};

namespace cpu {

// `log_prob` (like scores) may be null. `loss` is [N, d...] without a reduction, else a scalar; the mean is over the weights of
// the samples that count, and NaN if there are none.
void softmax_cross_entropy(const KernelContext& context, const LossViews& views, TensorView loss, TensorView log_prob,
                           const LossOptions& options);
void softmax_cross_entropy_grad(const KernelContext& context, const LossViews& views, ConstTensorView loss_grad,
                                TensorView scores_grad, const LossOptions& options);

// The same with scores that are log-probabilities already.
void negative_log_likelihood(const KernelContext& context, const LossViews& views, TensorView loss, const LossOptions& options);
void negative_log_likelihood_grad(const KernelContext& context, const LossViews& views, ConstTensorView loss_grad,
                                  TensorView scores_grad, const LossOptions& options);

// Bytes of workspace that all four want.
size_t cross_entropy_workspace(const Shape& scores, DType dtype, int threads);

}  // namespace cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16. A kernel cannot throw: a label that is
// neither in [0, C) nor ignore_index makes the loss and the gradient of its sample NaN, and so any sum or mean the loss is part of.
namespace cuda {

void softmax_cross_entropy(const KernelContext& context, const LossViews& views, TensorView loss, TensorView log_prob,
                           const LossOptions& options);
void softmax_cross_entropy_grad(const KernelContext& context, const LossViews& views, ConstTensorView loss_grad,
                                TensorView scores_grad, const LossOptions& options);
void negative_log_likelihood(const KernelContext& context, const LossViews& views, TensorView loss, const LossOptions& options);
void negative_log_likelihood_grad(const KernelContext& context, const LossViews& views, ConstTensorView loss_grad,
                                  TensorView scores_grad, const LossOptions& options);

// Bytes of workspace that all four want.
size_t cross_entropy_workspace(const Shape& scores);

}  // namespace cuda
}  // namespace tandem
