// Constant matrices of weights as the products read them: packed once a plan.
#pragma once

#include "kernels/api/gemm.h"
#include "runtime/graph/kept_panels.h"

namespace tandem {

// Constant input `i`, of rank 2 and a float type; stored [n, k] if `transposed`.
inline cpu::PackedMatrix packed_matrix(const BindContext& node, int i, bool transposed) {
  return kept_or_packed<cpu::PackedMatrix>(node, i, transposed ? "matrix^T" : "matrix",
                                           [&](ConstTensorView weights) { return cpu::pack_matrix(weights, transposed); });
}

}  // namespace tandem
