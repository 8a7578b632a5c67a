// The type of what an op on bf16 stores: f32 or bf16, as its attribute `to` says (bf16 if there is none).
#pragma once

#include "runtime/graph/contexts.h"

namespace tandem {

inline DType stored_type(const NodeContext& node) {
  const auto type = static_cast<DType>(node.get_int("to", static_cast<int64_t>(DType::kBF16)));
  node.require(type == DType::kF32 || type == DType::kBF16, "to must be f32 or bf16", name(type));
  return type;
}

// An operand that is rounded to bf16 already, or is about to be.
inline void require_short(const InferenceContext& node, int i) {
  if (!node.has_input(i)) return;
  const DType type = node.dtype(i);
  node.require(type == DType::kF32 || type == DType::kBF16, "an operand must be f32 or bf16 (index, type)", i, name(type));
}

}  // namespace tandem
