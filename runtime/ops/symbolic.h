// Small rules on symbolic dimensions, shared by the shape rules of the ops.
#pragma once

#include <span>

#include "runtime/graph/contexts.h"

namespace tandem {

// Both are numbers, and different ones.
inline bool differ(const Dim& a, const Dim& b) { return a.known() && b.known() && a.size != b.size; }

// Of two dimensions that must be equal the one that says more.
inline const Dim& better(const Dim& a, const Dim& b) { return a.known() || (!b.known() && !a.symbol.empty()) ? a : b; }

// Throws InvalidArgument unless input `i`, of known rank, can have this shape.
inline void require_shape(const InferenceContext& node, int i, const Dims& wanted) {
  const Dims& dims = node.dims(i);
  bool fits = dims.size() == wanted.size();
  for (size_t k = 0; fits && k < dims.size(); ++k) fits = !differ(dims[k], wanted[k]);
  node.require(fits, "an input must have another shape (input, its dims, wanted)", i, to_string(dims), to_string(wanted));
}

// The product, "6*batch" for 2 * batch * 3: a number, then the symbols in order. Unknown if a factor is. Throws InvalidArgument if it overflows.
Dim product(std::span<const Dim> dims);

// What times `divisor` is `dividend`, whatever the symbols are; unknown if there is no such dimension.
Dim quotient(const Dim& dividend, const Dim& divisor);

// f32, f64, f16 or bf16. For the 16-bit ones a plan for the CPU puts casts to f32 around the node.
inline void require_float(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(is_float(type), "input must be f32, f64, f16 or bf16 (index, type)", input, name(type));
}

// Runs body(); an InvalidArgument from beneath is thrown again with the node's op and name.
template <class Body>
auto naming(const NodeContext& node, Body body) {
  try {
    return body();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    node.reject(error.what());
  }
}

}  // namespace tandem
