// What an executor holds on a GPU: streams, memory, and the way inputs get there.
//
// Inputs travel ahead of the run: they are copied into pinned memory and from there, on a stream of their own, into one of two feed buffers
// on the device. While the GPU works on one, the next inputs fill the other.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "runtime/device/device.h"
#include "runtime/plan/plan.h"

namespace tandem {

// The constants of a plan in a GPU's memory; lanes share one.
class DeviceConstants {
 public:
  // Throws OutOfMemory.
  DeviceConstants(const Plan& plan, Device& device);
  std::byte* address(ValueId constant) const { return buffer_.data() + offsets_[static_cast<size_t>(constant)]; }

 private:
  std::vector<int64_t> offsets_;  // indexed by ValueId
  Buffer buffer_;
};

class DeviceLane {
 public:
  static constexpr size_t kSlots = 2;

  // Throws OutOfMemory.
  DeviceLane(const Plan& plan, std::shared_ptr<Device> device, std::shared_ptr<const DeviceConstants> constants, cuda::Math math);
  ~DeviceLane();

  const std::shared_ptr<Device>& device() const { return device_; }
  Stream& stream() { return *compute_; }
  cuda::Session* session() { return session_.get(); }
  const DeviceConstants& constants() const { return *constants_; }
  std::byte* host_arena() const { return host_arena_.data(); }
  std::byte* arena() const { return arena_.data(); }
  std::span<std::byte> workspace() const { return {workspace_.data(), workspace_.bytes()}; }
  std::byte* feeds(size_t slot) const { return feeds_[slot].device.data(); }

  // Begins to bring the inputs to the slot's feed buffer; they may be overwritten when it returns. REQUIRES: no run uses the slot.
  void feed(size_t slot, std::span<const ConstTensorView> inputs);
  // Work after this on stream() sees what was fed.
  void wait_for_feed(size_t slot) { compute_->wait(*feeds_[slot].arrived); }

 private:
  struct FeedBuffer {
    Buffer host, device;
    std::unique_ptr<Event> arrived;
  };
  struct FeedCopy {
    size_t input;  // of the graph
    int64_t offset;
  };

  std::shared_ptr<Device> device_;
  std::shared_ptr<const DeviceConstants> constants_;
  std::vector<FeedCopy> copies_;
  Buffer host_arena_, arena_, workspace_;
  std::array<FeedBuffer, kSlots> feeds_;
  std::unique_ptr<Stream> compute_, copy_;
  std::unique_ptr<cuda::Session, void (*)(cuda::Session*)> session_;
};

}  // namespace tandem
