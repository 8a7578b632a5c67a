// A GPU through the CUDA runtime.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/cuda/device/check.h"
#include "kernels/cuda/device/session.h"
#include "runtime/device/cuda_current.h"
#include "runtime/device/cuda_stream.h"
#include "runtime/device/device.h"

namespace tandem {
namespace {

using cuda::check_cuda;

void free_device(void* memory) noexcept { drop_error(cudaFree(memory)); }
void free_pinned(void* memory) noexcept { drop_error(cudaFreeHost(memory)); }

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(DeviceInfo info) : info_(std::move(info)) { use_device(info_.ordinal); }

  const DeviceInfo& info() const override { return info_; }

  int64_t free_bytes() const override {
    use_device(info_.ordinal);
    size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return static_cast<int64_t>(free);
  }

  Buffer allocate(size_t bytes, std::string_view purpose) override {
    if (bytes == 0) return {};
    use_device(info_.ordinal);
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
      drop_error(status);
      fail(ErrorCode::kOutOfMemory,
           "not enough memory on the GPU (GPU, wanted for, bytes asked for, bytes free); see nvidia-smi for other programs on it, or use a "
           "smaller batch",
           {"cuda:" + std::to_string(info_.ordinal), purpose, bytes, free_bytes()});
    }
    check_cuda(status, "cudaMalloc");
    return Buffer(memory, bytes, free_device);
  }

  Buffer allocate_pinned(size_t bytes, std::string_view purpose) override {
    if (bytes == 0) return {};
    use_device(info_.ordinal);
    void* memory = nullptr;
    const cudaError_t status = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
    if (status == cudaErrorMemoryAllocation) {
      drop_error(status);
      fail(ErrorCode::kOutOfMemory, "not enough pinned memory on the host (wanted for, bytes asked for)", {purpose, bytes});
    }
    check_cuda(status, "cudaHostAlloc");
    return Buffer(memory, bytes, free_pinned);
  }

  std::unique_ptr<Stream> make_stream() override { return std::make_unique<CudaStream>(info_.ordinal); }
  std::unique_ptr<Event> make_event() override { return std::make_unique<CudaEvent>(info_.ordinal); }

  std::unique_ptr<cuda::Session, void (*)(cuda::Session*)> make_session(Stream& stream, cuda::Math math) override {
    use_device(info_.ordinal);
    return {new cuda::Session(stream.handle(), math), [](cuda::Session* session) { delete session; }};
  }

 private:
  DeviceInfo info_;
};

}  // namespace

std::shared_ptr<Device> open_cuda(int ordinal) {
  CudaProbe probe = probe_cuda();
  check(!probe.devices.empty(), ErrorCode::kUnavailable, "CUDA cannot be used here", probe.problem);
  const auto found = std::ranges::find(probe.devices, ordinal, &DeviceInfo::ordinal);
  if (found == probe.devices.end()) {
    std::string names;
    for (const DeviceInfo& one : probe.devices)
      names += (names.empty() ? "cuda:" : ", cuda:") + std::to_string(one.ordinal) + " (" + one.name + ")";
    fail(ErrorCode::kNotFound, "no such GPU (asked for, there are)", {"cuda:" + std::to_string(ordinal), names});
  }
  return std::make_shared<CudaDevice>(std::move(*found));
}

}  // namespace tandem
