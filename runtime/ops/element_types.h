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

// The element type, of numbers or bool, that an attribute names; `otherwise` if it is absent.
inline DType dtype_attribute(const NodeContext& node, std::string_view attribute, DType otherwise) {
  const int64_t wanted = node.get_int(attribute, static_cast<int64_t>(otherwise));
  const auto dtype = static_cast<DType>(wanted);
  node.require(wanted > 0 && wanted <= 255 && (is_float(dtype) || is_integer(dtype) || dtype == DType::kBool),
               "not an element type of numbers (attribute, given)", attribute, wanted);
  return dtype;
}

// i32 or i64, as ONNX wants of indices.
inline void require_index(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(type == DType::kI32 || type == DType::kI64, "indices must be i32 or i64 (input, type)", input, name(type));
}

}  // namespace tandem
