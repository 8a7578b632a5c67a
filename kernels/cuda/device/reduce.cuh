// Reductions over a warp and over a block, in a fixed order: the bits do not depend on scheduling.
#pragma once

#include "kernels/cuda/device/gpu.h"

namespace tandem::cuda {

// Every lane gets the result. REQUIRES: all 32 lanes call.
template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
  for (int offset = 16; offset > 0; offset /= 2) value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
  return value;
}

// Every thread of the block gets the result. REQUIRES: kBlock threads, a multiple of 32, all of them calling; T trivial, at most 8 bytes.
template <int kBlock, class T, class Combine>
__device__ T block_reduce(T value, Combine combine) {
  __shared__ T partial[kBlock / 32];
  value = warp_reduce(value, combine);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  T total = partial[0];
  for (int warp = 1; warp < kBlock / 32; ++warp) total = combine(total, partial[warp]);
  __syncthreads();  // partial is used again by the next call
  return total;
}

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
// NaN wins.
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

}  // namespace tandem::cuda
