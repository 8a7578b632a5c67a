// A build without the CUDA backend.
#include "kernels/base/error.h"
#include "runtime/device/cuda_report.h"

namespace tandem {

CudaProbe probe_cuda() { return {.devices = {}, .problem = "this program was built without CUDA", .driver_version = 0, .runtime_version = 0}; }

CudaReport cuda_report() { return {.probe = probe_cuda(), .architectures = {}, .libraries = {}}; }

std::shared_ptr<Device> open_cuda(int) { fail(ErrorCode::kUnavailable, "CUDA cannot be used here", {probe_cuda().problem}); }

}  // namespace tandem
