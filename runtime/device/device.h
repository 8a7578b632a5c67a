// One GPU, as the runtime sees it: memory, streams, events and captured graphs, each a move-only owner. The CPU needs none of this.
//
// Every call is checked: what CUDA refuses is an Error(kDevice), or OutOfMemory with figures, that names the call, CUDA's error and what to
// do. An error that sticks to the context (an illegal address, a lost device) makes every later call fail with the same words: the process
// may go on with the CPU, not with this device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

namespace cuda {
class Session;
enum class Math : uint8_t;
}  // namespace cuda

struct DeviceInfo {
  int ordinal = 0;  // as in cuda:0
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
};

// Memory of a device, or pinned memory of the host; given back when the owner goes.
class Buffer {
 public:
  using Release = void (*)(void*) noexcept;
  Buffer() = default;
  Buffer(void* data, size_t bytes, Release release) : data_(static_cast<std::byte*>(data), release), bytes_(bytes) {}
  std::byte* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<std::byte, Release> data_{nullptr, nullptr};
  size_t bytes_ = 0;
};

// A point in a stream's work.
class Event {
 public:
  virtual ~Event() = default;
  virtual void synchronize() = 0;  // the calling thread waits
};

// A stretch of a stream's work, recorded once and launched as one.
class CapturedGraph {
 public:
  virtual ~CapturedGraph() = default;
  virtual int64_t nodes() const = 0;
};

// Work that a device does in order. Pointers must stay valid until it is done; host memory of copies is pinned.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void* handle() const = 0;  // cudaStream_t
  virtual void copy_to_device(std::byte* device, const std::byte* host, size_t bytes) = 0;
  virtual void copy_to_host(std::byte* host, const std::byte* device, size_t bytes) = 0;
  virtual void copy_on_device(std::byte* to, const std::byte* from, size_t bytes) = 0;
  virtual void record(Event& event) = 0;
  virtual void wait(const Event& event) = 0;  // later work of this stream waits for the event's last record
  virtual void synchronize() = 0;             // the calling thread waits for all work; errors of kernels appear here
  // Between the two, work is recorded and not done. Allocation and synchronize() are not allowed there. abandon_capture ends it after an
  // error and never throws.
  virtual void begin_capture() = 0;
  virtual std::unique_ptr<CapturedGraph> end_capture() = 0;
  virtual void abandon_capture() noexcept = 0;
  virtual void launch(const CapturedGraph& graph) = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceInfo& info() const = 0;
  virtual int64_t free_bytes() const = 0;
  // Throws OutOfMemory naming what it was for, the bytes asked for and those free. 0 bytes give an empty Buffer.
  virtual Buffer allocate(size_t bytes, std::string_view purpose) = 0;
  virtual Buffer allocate_pinned(size_t bytes, std::string_view purpose) = 0;
  virtual std::unique_ptr<Stream> make_stream() = 0;
  virtual std::unique_ptr<Event> make_event() = 0;
  // For KernelContext::cuda. The stream must outlive it.
  virtual std::unique_ptr<cuda::Session, void (*)(cuda::Session*)> make_session(Stream& stream, cuda::Math math) = 0;
};

// What this machine has for CUDA.
struct CudaProbe {
  std::vector<DeviceInfo> devices;  // those that this build can use
  std::string problem;              // why there are none, and what would help: no driver, an old driver, no GPU, a build without CUDA
  int driver_version = 0;           // 13000 for 13.0; 0: no driver
  int runtime_version = 0;
};
CudaProbe probe_cuda();

// Throws Unavailable with probe_cuda().problem, or NotFound naming the devices there are.
std::shared_ptr<Device> open_cuda(int ordinal);

// "cpu", "cuda" (the first), "cuda:1", or "auto": the first GPU there is, else the CPU. Null: the CPU.
// Throws InvalidArgument for another text, else as open_cuda.
std::shared_ptr<Device> open_device(std::string_view text);

}  // namespace tandem
