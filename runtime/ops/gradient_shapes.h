// What gradients need to know of shapes: constants where the graph is fixed, Shape nodes where a dimension is a symbol.
#pragma once

#include "runtime/graph/contexts.h"
#include "runtime/ops/gradient_context.h"

namespace tandem {

// A 1-D i64 value: the shape of `id`.
inline ValueId shape_of(GradientContext& node, ValueId id) {
  const auto& dims = node.type(id).dims;
  if (const auto shape = dims ? fixed_shape(*dims) : std::nullopt)
    return node.ints(std::vector<int64_t>(shape->dims().begin(), shape->dims().end()));
  return node.emit("Shape", {id});
}

// `grad` in the shape of `like`, which has as many elements.
inline ValueId reshape_like(GradientContext& node, ValueId grad, ValueId like) {
  Attributes attributes = {{"allowzero", int64_t{1}}};
  return node.emit("Reshape", {grad, shape_of(node, like)}, std::move(attributes));
}

inline int rank_of(GradientContext& node, ValueId id) {
  node.require(node.type(id).dims.has_value(), "the gradient needs a value of known rank", node.graph().value(id).name);
  return static_cast<int>(node.type(id).dims->size());
}

}  // namespace tandem
