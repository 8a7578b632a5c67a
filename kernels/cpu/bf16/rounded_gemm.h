// Products whose operands are f32 and rounded to bf16 as they are read: gemm() with GemmShape::rounded.
#pragma once

#include <cstddef>

#include "kernels/api/gemm.h"

namespace tandem::cpu {

// Of products of this shape and all smaller ones.
size_t rounded_gemm_workspace(const GemmShape&, Isa isa);

// `packed_b` must be null. Throws Internal if the workspace is too small.
void rounded_gemm(const KernelContext&, const GemmShape&, const GemmArgs<float>&, Isa isa);

}  // namespace tandem::cpu
