#include "tests/support/device_memory.h"

#include <cuda_runtime_api.h>

#include <algorithm>

namespace tandem::test {
namespace {

constexpr size_t kFence = 256;  // keeps the alignment of cudaMalloc
constexpr std::byte kFenceByte{0x5C};

void must(cudaError_t status, const char* call) {
  if (status != cudaSuccess) fail(ErrorCode::kDevice, "a CUDA call of a test failed", {call, std::string_view(cudaGetErrorName(status))});
}

}  // namespace

DeviceMemory::DeviceMemory(size_t bytes, std::byte fill) : bytes_(bytes) {
  std::vector<std::byte> content(bytes + 2 * kFence, kFenceByte);
  std::fill_n(content.begin() + kFence, bytes, fill);
  void* memory = nullptr;
  must(cudaMalloc(&memory, content.size()), "cudaMalloc");
  start_ = static_cast<std::byte*>(memory);
  must(cudaMemcpy(start_, content.data(), content.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
}

DeviceMemory::~DeviceMemory() {
  if (start_) cudaFree(start_);
}

std::byte* DeviceMemory::data() const { return start_ + kFence; }

void DeviceMemory::write(const std::byte* host) {
  if (bytes_) must(cudaMemcpy(data(), host, bytes_, cudaMemcpyHostToDevice), "cudaMemcpy");
}

std::vector<std::byte> DeviceMemory::read() const {
  std::vector<std::byte> content(bytes_ + 2 * kFence);
  must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  must(cudaMemcpy(content.data(), start_, content.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  const auto intact = [](std::byte b) { return b == kFenceByte; };
  const auto end = content.begin() + kFence + static_cast<std::ptrdiff_t>(bytes_);
  ensure(std::all_of(content.begin(), content.begin() + kFence, intact) && std::all_of(end, content.end(), intact),
         "a kernel wrote beside its output");
  return {content.begin() + kFence, end};
}

}  // namespace tandem::test
