#include "runtime/device/cuda_stream.h"

#include <cuda_runtime_api.h>

#include "kernels/base/error.h"
#include "kernels/cuda/device/check.h"
#include "runtime/device/cuda_current.h"
#include "runtime/device/cuda_graph.h"

namespace tandem {
namespace {

using cuda::check_cuda;

void copy(int ordinal, cudaStream_t stream, std::byte* to, const std::byte* from, size_t bytes, cudaMemcpyKind kind, std::string_view call) {
  if (bytes == 0) return;
  use_device(ordinal);
  check_cuda(cudaMemcpyAsync(to, from, bytes, kind, stream), call);
}

// Streams, events and graphs of one build are all of one kind.
cudaEvent_t event_of(const Event& event) { return static_cast<const CudaEvent&>(event).handle(); }

}  // namespace

CudaEvent::CudaEvent(int ordinal) : ordinal_(ordinal) {
  use_device(ordinal_);
  check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
}

CudaEvent::~CudaEvent() { drop_error(cudaEventDestroy(event_)); }

void CudaEvent::synchronize() {
  use_device(ordinal_);
  check_cuda(cudaEventSynchronize(event_), "cudaEventSynchronize");
}

CudaStream::CudaStream(int ordinal) : ordinal_(ordinal) {
  use_device(ordinal_);
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

CudaStream::~CudaStream() { drop_error(cudaStreamDestroy(stream_)); }

void CudaStream::copy_to_device(std::byte* device, const std::byte* host, size_t bytes) {
  copy(ordinal_, stream_, device, host, bytes, cudaMemcpyHostToDevice, "cudaMemcpyAsync to the device");
}

void CudaStream::copy_to_host(std::byte* host, const std::byte* device, size_t bytes) {
  copy(ordinal_, stream_, host, device, bytes, cudaMemcpyDeviceToHost, "cudaMemcpyAsync to the host");
}

void CudaStream::copy_on_device(std::byte* to, const std::byte* from, size_t bytes) {
  copy(ordinal_, stream_, to, from, bytes, cudaMemcpyDeviceToDevice, "cudaMemcpyAsync on the device");
}

void CudaStream::record(Event& event) {
  use_device(ordinal_);
  check_cuda(cudaEventRecord(event_of(event), stream_), "cudaEventRecord");
}

void CudaStream::wait(const Event& event) {
  use_device(ordinal_);
  check_cuda(cudaStreamWaitEvent(stream_, event_of(event), 0), "cudaStreamWaitEvent");
}

void CudaStream::synchronize() {
  use_device(ordinal_);
  check_cuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

void CudaStream::begin_capture() {
  use_device(ordinal_);
  check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

std::unique_ptr<CapturedGraph> CudaStream::end_capture() {
  use_device(ordinal_);
  cudaGraph_t graph = nullptr;
  check_cuda(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
  ensure(graph != nullptr, "a capture ended without a graph");
  return std::make_unique<CudaGraph>(graph);
}

void CudaStream::abandon_capture() noexcept {
  cudaGraph_t graph = nullptr;
  drop_error(cudaSetDevice(ordinal_));
  drop_error(cudaStreamEndCapture(stream_, &graph));
  if (graph) drop_error(cudaGraphDestroy(graph));
}

void CudaStream::launch(const CapturedGraph& graph) {
  use_device(ordinal_);
  check_cuda(cudaGraphLaunch(static_cast<const CudaGraph&>(graph).handle(), stream_), "cudaGraphLaunch");
}

}  // namespace tandem
