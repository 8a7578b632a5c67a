// A non-blocking CUDA stream, and events without timing.
#pragma once

#include "runtime/device/device.h"

struct CUstream_st;
struct CUevent_st;

namespace tandem {

class CudaEvent final : public Event {
 public:
  explicit CudaEvent(int ordinal);
  ~CudaEvent() override;
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  void synchronize() override;
  CUevent_st* handle() const { return event_; }  // cudaEvent_t

 private:
  int ordinal_;
  CUevent_st* event_ = nullptr;
};

class CudaStream final : public Stream {
 public:
  explicit CudaStream(int ordinal);
  ~CudaStream() override;
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  void* handle() const override { return stream_; }
  void copy_to_device(std::byte* device, const std::byte* host, size_t bytes) override;
  void copy_to_host(std::byte* host, const std::byte* device, size_t bytes) override;
  void copy_on_device(std::byte* to, const std::byte* from, size_t bytes) override;
  void record(Event& event) override;
  void wait(const Event& event) override;
  void synchronize() override;
  void begin_capture() override;
  std::unique_ptr<CapturedGraph> end_capture() override;
  void abandon_capture() noexcept override;
  void launch(const CapturedGraph& graph) override;

 private:
  int ordinal_;
  CUstream_st* stream_ = nullptr;
};

}  // namespace tandem
