// What a matrix product, a convolution or an attention of f32 makes of the operands of its products: attribute `precision` of tandem.FusedGemm,
// FusedMatMul and GemmGrad, of FusedConv, ConvGradInput and ConvGradWeight, and of FusedAttention and FusedAttentionGrad.
//
//   ""      nothing
//   "bf16"  they are rounded to bf16 as they are read; products are exact, sums and all else f32. B is then one matrix, and a
//           convolution has no groups.
#pragma once

#include "runtime/graph/contexts.h"

namespace tandem {

inline constexpr std::string_view kProductPrecision = "precision";

inline bool rounds_operands(const NodeContext& node) {
  const std::string precision = node.get_string(kProductPrecision, "");
  node.require(precision.empty() || precision == "bf16", "precision must be bf16, or none", precision);
  return !precision.empty();
}

}  // namespace tandem
