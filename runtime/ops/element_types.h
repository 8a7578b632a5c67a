// What the kernels take, said when the graph is built rather than when it runs.
#pragma once

#include "runtime/graph/contexts.h"

namespace tandem {

// Floats (16-bit ones on a GPU), i32, i64, u8, i8.
inline void require_arithmetic(const InferenceContext& node, int input) {
  switch (node.dtype(input)) {
    case DType::kF32:
    case DType::kF64:
    case DType::kF16:
    case DType::kBF16:
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
    case DType::kI8: return;
    default:
      node.reject("there is arithmetic on floats, i32, i64, u8 and i8 only (input, type)", input, name(node.dtype(input)));
  }
}

// i32 or i64, as ONNX wants of indices.
inline void require_index(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(type == DType::kI32 || type == DType::kI64, "indices must be i32 or i64 (input, type)", input, name(type));
}

}  // namespace tandem
