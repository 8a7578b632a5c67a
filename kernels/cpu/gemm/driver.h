// Many products of one shape: what gemm, batched_gemm and matmul have in common.
#pragma once

#include "kernels/api/gemm.h"

namespace tandem::cpu {

// Threads share the products if there are enough, else each product. T is float or double.
template <class T>
void multiply_all(const KernelContext& context, const GemmShape& shape, const GemmArgs<T>& args, const ProductSet& set, Isa isa);

}  // namespace tandem::cpu
