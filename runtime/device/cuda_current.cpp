#include "runtime/device/cuda_current.h"

#include <cuda_runtime_api.h>

#include "kernels/cuda/device/check.h"

namespace tandem {

void use_device(int ordinal) { cuda::check_cuda(cudaSetDevice(ordinal), "cudaSetDevice"); }

void drop_error(int status) noexcept {
  if (status != cudaSuccess) static_cast<void>(cudaGetLastError());
}

}  // namespace tandem
