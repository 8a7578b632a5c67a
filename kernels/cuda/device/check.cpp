#include "kernels/cuda/device/check.h"

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/base/error.h"

namespace tandem::cuda {
namespace {

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

// The versions that do not fit.
std::string driver_text() {
  int driver = 0, runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || cudaRuntimeGetVersion(&runtime) != cudaSuccess) return "";
  return (driver == 0 ? std::string("there is no driver") : "the driver knows CUDA " + version_text(driver)) + ", this build needs " +
         version_text(runtime);
}

}  // namespace

bool is_sticky(int status) {
  switch (status) {
    case cudaErrorDevicesUnavailable:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorExternalDevice:
    case cudaErrorMpsClientTerminated:
    case cudaErrorUnknown: return true;
    default: return false;
  }
}

std::string_view cuda_advice(int status) {
  if (is_sticky(status)) return "this process cannot use the device any more: restart it, or go on with --device cpu";
  switch (status) {
    case cudaErrorInsufficientDriver: return "install or update NVIDIA's driver, or use --device cpu";
    case cudaErrorNoDevice: return "no GPU is visible: see nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInvalidKernelImage: return "build for this GPU's architecture too (TANDEM_CUDA_ARCHITECTURES)";
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady: return "the driver and its services do not fit: reboot the machine, or look at nvidia-smi";
    case cudaErrorMemoryAllocation: return "other programs may hold its memory: see nvidia-smi";
    default: return "";
  }
}

void check_cuda(int status, std::string_view call) {
  if (status == cudaSuccess) [[likely]]
    return;
  const auto error = static_cast<cudaError_t>(status);
  static_cast<void>(cudaGetLastError());
  std::string words = error == cudaErrorInsufficientDriver ? driver_text() : cudaGetErrorString(error);
  if (const std::string_view advice = cuda_advice(status); !advice.empty()) words.append("; ").append(advice);
  fail(error == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDevice, "a CUDA call failed",
       {call, std::string_view(cudaGetErrorName(error)), words});
}

}  // namespace tandem::cuda
