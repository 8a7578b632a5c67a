// How elementwise work is cut: blocks of kBlock threads stride over n elements until all are done.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/base/checked.h"
#include "kernels/cuda/device/launch.h"

namespace tandem::cuda {

inline constexpr int kBlock = 256;

// Enough blocks for n threads, but no more than fill a large GPU several times over: each thread then takes several elements.
inline Grid grid_for(int64_t n) {
  constexpr int64_t kMostBlocks = 132 * 32;
  return {.blocks = std::min(ceil_div(n, kBlock), kMostBlocks), .threads = kBlock};
}

// for (int64_t i = first_index(); i < n; i += index_stride())
__device__ inline int64_t first_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline int64_t index_stride() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

}  // namespace tandem::cuda
