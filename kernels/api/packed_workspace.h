// The scratch of products and convolutions whose weights are given packed: less than where they may be given either way.
#pragma once

#include "kernels/api/conv.h"

namespace tandem::cpu {

// Of gemm and batched_gemm with GemmArgs::packed_b. T is float or double. Never larger for a smaller shape.
template <class T>
size_t gemm_workspace_with_packed_b(const GemmShape&, int threads, Isa isa = chosen_isa());

// Of matmul with a PackedMatrix of [k, n]; `a` is [..., k].
size_t matmul_workspace_with_packed_b(DType, const Shape& a, const Shape& b, bool transpose_b, int threads, Isa isa = chosen_isa());

// Of conv with PackedFilters, for this plane and all smaller ones.
size_t conv_workspace_with_packed_filters(const ConvGeometry&, DType, int threads, Isa isa = chosen_isa());

}  // namespace tandem::cpu
