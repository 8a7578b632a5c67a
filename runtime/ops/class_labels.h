// What the shape rules and kernels of the classifiers and regressors of ai.onnx.ml have in common.
#pragma once

#include <string>

#include "kernels/api/class_scores.h"
#include "runtime/graph/contexts.h"

namespace tandem {

// The classes as a 1-D tensor: those of classlabels_strings, or the integers that are the attribute `integers`; empty if there
// are neither.
inline Tensor class_labels(const NodeContext& node, std::string_view integers) {
  const auto texts = node.get_strings("classlabels_strings");
  const auto numbers = node.get_ints(integers);
  node.require(texts.empty() || numbers.empty(), "only one kind of class labels may be given (strings, integers)", texts.size(),
               numbers.size());
  if (!texts.empty()) return Tensor::strings({static_cast<int64_t>(texts.size())}, std::span<const std::string>(texts));
  return Tensor::of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers);
}

inline PostTransform post_transform_of(const NodeContext& node) {
  const std::string name = node.get_string("post_transform", "NONE");
  if (name == "SOFTMAX") return PostTransform::kSoftmax;
  if (name == "LOGISTIC") return PostTransform::kLogistic;
  if (name == "SOFTMAX_ZERO") return PostTransform::kSoftmaxZero;
  if (name == "PROBIT") return PostTransform::kProbit;
  node.require(name == "NONE", "post_transform must be NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT", name);
  return PostTransform::kNone;
}

// Input 0 is [rows, features], or one row, of f32, f64, i32 or i64.
inline void require_features(const InferenceContext& node) {
  const DType type = node.dtype(0);
  node.require(is_float(type) || type == DType::kI64 || type == DType::kI32, "input must be f32, f64, i64 or i32", name(type));
  node.require(!node.has_rank(0) || node.rank(0) == 1 || node.rank(0) == 2, "input must be a matrix or one row");
}
inline Dim rows_of(const InferenceContext& node) {
  if (!node.has_rank(0)) return {};
  return node.rank(0) == 1 ? Dim(1) : node.dims(0)[0];
}

}  // namespace tandem
