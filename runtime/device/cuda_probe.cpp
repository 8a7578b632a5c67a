// What CUDA finds on this machine. Looking changes nothing and never throws: programs with and without a GPU ask the same question.
#include <cuda_runtime_api.h>

#include "kernels/cuda/device/architectures.h"
#include "kernels/cuda/device/check.h"
#include "runtime/device/cuda_current.h"
#include "runtime/device/device.h"

namespace tandem {
namespace {

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

std::string problem_of(cudaError_t status, const CudaProbe& probe) {
  drop_error(status);
  if (status == cudaErrorInsufficientDriver && probe.driver_version == 0)
    return "no NVIDIA driver is installed (libcuda.so.1); " + std::string(cuda::cuda_advice(status));
  if (status == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is too old: it knows CUDA " + version_text(probe.driver_version) + ", this build needs " +
           version_text(probe.runtime_version) + "; " + std::string(cuda::cuda_advice(status));
  std::string text = std::string(cudaGetErrorName(status)) + ", " + cudaGetErrorString(status);
  if (const std::string_view advice = cuda::cuda_advice(status); !advice.empty()) text.append("; ").append(advice);
  return text;
}

DeviceInfo describe(int ordinal, const cudaDeviceProp& found) {
  return {.ordinal = ordinal,
          .name = found.name,
          .major = found.major,
          .minor = found.minor,
          .multiprocessors = found.multiProcessorCount,
          .memory_bytes = static_cast<int64_t>(found.totalGlobalMem)};
}

}  // namespace

CudaProbe probe_cuda() {
  CudaProbe probe;
  drop_error(cudaDriverGetVersion(&probe.driver_version));
  drop_error(cudaRuntimeGetVersion(&probe.runtime_version));
  int count = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&count); status != cudaSuccess) {
    probe.problem = problem_of(status, probe);
    return probe;
  }
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    cudaDeviceProp found{};
    if (const cudaError_t status = cudaGetDeviceProperties(&found, ordinal); status != cudaSuccess)
      probe.problem = problem_of(status, probe);
    else if (cuda::compiled_for(found.major, found.minor))
      probe.devices.push_back(describe(ordinal, found));
    else
      probe.problem = std::string(found.name) + " has compute capability " + std::to_string(found.major) + "." + std::to_string(found.minor) +
                      ", this build has code for " + cuda::compiled_architectures() + " and newer";
  }
  if (!probe.devices.empty()) probe.problem.clear();
  if (probe.devices.empty() && probe.problem.empty()) probe.problem = problem_of(cudaErrorNoDevice, probe);
  return probe;
}

}  // namespace tandem
