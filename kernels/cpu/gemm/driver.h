// Many products of one shape: what gemm, batched_gemm and matmul have in common.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/api/gemm.h"

namespace tandem::cpu {

// Where the products of a batch lie: product i is the i-th index, row-major, into `sizes`; a stride of 0 repeats a matrix.
struct ProductSet {
  int64_t count = 1;
  int rank = 0;
  std::array<int64_t, Shape::kMaxRank> sizes{}, a_strides{}, b_strides{};
  int64_t c_stride = 0, addend_stride = 0;  // products lie one after another in C

  void push_back(int64_t size, int64_t a_stride, int64_t b_stride) {
    const auto axis = static_cast<size_t>(rank++);
    sizes[axis] = size, a_strides[axis] = a_stride, b_strides[axis] = b_stride;
    count *= size;
  }
};

// Threads share the products if there are enough, else each product. T is float or double.
template <class T>
void multiply_all(const KernelContext& context, const GemmShape& shape, const GemmArgs<T>& args, const ProductSet& set, Isa isa);

}  // namespace tandem::cpu
