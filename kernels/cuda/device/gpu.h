// The CUDA language: from the toolkit under nvcc, from the thread-block emulator (tests/support/cuda_emulator) under g++.
#pragma once

#if defined(__CUDACC__)
#include <cuda_runtime.h>

namespace tandem::cuda {

// The block's dynamic shared memory (Grid::shared bytes, 16-byte aligned).
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char tandem_dynamic_shared[];
  return reinterpret_cast<T*>(tandem_dynamic_shared);
}

}  // namespace tandem::cuda

#else
#include "cuda_emulator.h"
#endif
