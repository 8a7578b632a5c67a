// Small rules on symbolic dimensions, shared by the shape rules of the ops.
#pragma once

#include <span>

#include "runtime/graph/contexts.h"

namespace tandem {

// Both are numbers, and different ones.
inline bool differ(const Dim& a, const Dim& b) { return a.known() && b.known() && a.size != b.size; }

// Of two dimensions that must be equal the one that says more.
inline const Dim& better(const Dim& a, const Dim& b) { return a.known() || (!b.known() && !a.symbol.empty()) ? a : b; }

// The product; a single factor other than 1 keeps its symbol. Throws InvalidArgument if it overflows.
inline Dim product(std::span<const Dim> dims) {
  int64_t size = 1;
  const Dim* open = nullptr;
  int open_count = 0;
  for (const Dim& dim : dims) {
    if (dim.known()) {
      size = checked_mul(size, dim.size, "dimension");
    } else {
      open = &dim;
      ++open_count;
    }
  }
  if (open_count == 0) return Dim(size);
  return open_count == 1 && size == 1 ? *open : Dim();
}

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
