// Events of the emulated CUDA runtime: each is the point of a stream's work where it was last recorded.
#include <algorithm>

#include "machine.h"

using namespace tandem::emulator;

namespace {

cudaError_t record(Machine& m, cudaEvent_t event, cudaStream_t handle) {
  CUstream_st* stream = find_stream(m, handle);
  if (!stream || !m.events.contains(event)) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t status = enqueue(m, *stream, nullptr); status != cudaSuccess) return status;
  event->capture = stream->capture;
  event->nodes = stream->last;
  event->point = stream->capture ? Point{} : end_of(*stream);
  return cudaSuccess;
}

// The stream joins the event's capture, or is in it already.
cudaError_t wait_in_capture(Machine& m, CUstream_st& stream, const CUevent_st& event) {
  const std::shared_ptr<Capture>& capture = event.capture;
  if (capture->ended) return cudaErrorCapturedEvent;
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (&stream == &m.legacy || (stream.capture && stream.capture != capture)) {
    capture->invalid = true;
    return &stream == &m.legacy ? cudaErrorStreamCaptureImplicit : cudaErrorStreamCaptureMerge;
  }
  stream.capture = capture;
  capture->streams.insert(&stream);
  for (const size_t node : event.nodes)
    if (std::ranges::find(stream.last, node) == stream.last.end()) stream.last.push_back(node);
  return cudaSuccess;
}

cudaError_t wait(Machine& m, cudaStream_t handle, cudaEvent_t event) {
  CUstream_st* stream = find_stream(m, handle);
  if (!stream || !m.events.contains(event)) return cudaErrorInvalidResourceHandle;
  if (event->capture) return wait_in_capture(m, *stream, *event);
  if (!event->point.timeline) return cudaSuccess;  // never recorded
  if (stream->capture) {
    stream->capture->invalid = true;
    return cudaErrorStreamCaptureIsolation;
  }
  stream->timeline->queue.push_back({nullptr, event->point});
  ++stream->timeline->queued;
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned) {
  return call([=](Machine& m) {
    *out = new CUevent_st;
    m.events.insert(*out);
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call(Entry::kRelease, [=](Machine& m) {
    if (m.events.erase(event) == 0) return cudaErrorInvalidResourceHandle;
    delete event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call([=](Machine& m) { return record(m, event, stream); });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call([=](Machine& m) { return wait(m, stream, event); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call([=](Machine& m) {
    if (!m.events.contains(event)) return cudaErrorInvalidResourceHandle;
    if (event->capture) {
      event->capture->invalid = true;
      return cudaErrorCapturedEvent;
    }
    run_until(m, event->point);
    return cudaSuccess;
  });
}

// No time passes on the emulator.
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  return call([=](Machine& m) {
    for (const cudaEvent_t event : {start, end}) {
      if (!m.events.contains(event) || event->capture) return cudaErrorInvalidResourceHandle;
      const Point& point = event->point;
      if (point.timeline && point.timeline->done < point.count) return cudaErrorNotReady;
    }
    *ms = 0;
    return cudaSuccess;
  });
}

// Does one piece of work a call, so that whoever asks again and again sees the end of it.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call([=](Machine& m) {
    if (!m.events.contains(event)) return cudaErrorInvalidResourceHandle;
    if (event->capture) return cudaErrorCapturedEvent;
    const Point& point = event->point;
    if (!point.timeline || point.timeline->done >= point.count) return cudaSuccess;
    run_until(m, {point.timeline, point.timeline->done + 1});
    return cudaErrorNotReady;
  });
}

}  // extern "C"
