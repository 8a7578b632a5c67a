// What If, Loop, Scan and SequenceMap have in common: the bodies of a node, and tensors cut into slices and put together again.
#pragma once

#include <span>

#include "runtime/graph/contexts.h"

namespace tandem {

// The body that is the attribute `name`. Throws InvalidArgument if there is none.
inline const Graph& body_of(const NodeContext& node, std::string_view name) {
  const auto found = node.node().attributes.find(name);
  const auto* body = found == node.node().attributes.end() ? nullptr : std::get_if<Subgraph>(&found->second);
  node.require(body != nullptr && *body != nullptr, "a body is missing (attribute)", name);
  return **body;
}
inline int formal_inputs(const Graph& body) { return static_cast<int>(body.inputs.size()) - body.captured_inputs; }
inline const TensorType& output_type(const Graph& body, int i) { return body.value(body.outputs[static_cast<size_t>(i)]).type; }

// What is known of both: one element type and container (InvalidArgument otherwise), the dimensions that are equal.
TensorType common_type(const NodeContext& node, const TensorType& a, const TensorType& b);

// The type without names of sizes: what a body makes is called by a name that may mean something else in each iteration.
TensorType numbers_of(TensorType type);

// `axis` removed: element `index` along it. REQUIRES 0 <= axis < rank, 0 <= index < shape[axis].
Tensor slice_at(const Tensor& tensor, int axis, int64_t index);
// Tensors of one type and shape side by side along a new axis. Throws InvalidArgument if shapes differ; `empty` for no tensors at all: their
// type, of which an unknown dimension becomes 0.
Tensor stack(std::span<const Tensor> tensors, int axis, const TensorType& empty);

}  // namespace tandem
