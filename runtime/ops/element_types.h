// What the kernels take, said when the graph is built rather than when it runs.
#pragma once

#include "runtime/graph/contexts.h"

namespace tandem {

// Floats and integers of 8 to 64 bits.
inline void require_arithmetic(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(is_float(type) || is_integer(type), "there is arithmetic on floats and integers only (input, type)", input, name(type));
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
