// Device memory for tests, on a GPU or on the emulator: what kernels of kernels/cuda may be given.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "kernels/base/tensor_view.h"

namespace tandem::test {

// A block of device memory, fenced on either side. Throws Error if CUDA refuses.
class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes, std::byte fill = std::byte{0xFF});
  // A copy of host memory.
  explicit DeviceMemory(ConstTensorView host) : DeviceMemory(host.bytes()) { write(host.data); }
  DeviceMemory(DeviceMemory&& other) noexcept : start_(std::exchange(other.start_, nullptr)), bytes_(other.bytes_) {}
  DeviceMemory& operator=(DeviceMemory&&) = delete;
  ~DeviceMemory();

  std::byte* data() const;
  size_t bytes() const { return bytes_; }
  void write(const std::byte* host);
  // Waits for the device first. Throws Internal if something wrote on the fences.
  std::vector<std::byte> read() const;

 private:
  std::byte* start_ = nullptr;
  size_t bytes_;
};

}  // namespace tandem::test
