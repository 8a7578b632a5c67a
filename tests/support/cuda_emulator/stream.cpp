// Streams of the emulated CUDA runtime: queues of work, done when somebody waits for it, and then only as much as the wait is for.
#include <algorithm>

#include "machine.h"

namespace tandem::emulator {
namespace {

// The legacy stream is ordered with all blocking streams, both ways.
cudaError_t order_legacy(Machine& m) {
  for (const cudaStream_t stream : m.streams) {
    if (!stream->blocking) continue;
    if (stream->capture) {
      stream->capture->invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
    m.legacy.timeline->queue.push_back({nullptr, end_of(*stream)});
    ++m.legacy.timeline->queued;
  }
  return cudaSuccess;
}

void add_node(CUstream_st& stream, std::function<void()> run) {
  Nodes& nodes = stream.capture->nodes;
  nodes.push_back({std::move(run), std::move(stream.last)});
  stream.last = {nodes.size() - 1};
}

// No call may come from a kernel or a host function.
class Working {
 public:
  Working() { host().working = true; }
  ~Working() { host().working = false; }
};

// `point` may wait for points of other timelines, all of them queued earlier than it.
void run_work(Machine& m, const Point& point) {
  Timeline& timeline = *point.timeline;
  while (timeline.done < point.count) {
    Work work = std::move(timeline.queue.front());
    timeline.queue.pop_front();
    if (work.after.timeline) run_work(m, work.after);
    if (work.run && m.sticky == cudaSuccess) work.run();
    ++timeline.done;
  }
}

cudaError_t destroy(Machine& m, cudaStream_t handle) {
  CUstream_st* stream = handle ? find_stream(m, handle) : nullptr;
  if (!stream || stream == &m.legacy) return cudaErrorInvalidResourceHandle;
  if (stream->capture) {
    stream->capture->invalid = true;
    stream->capture->streams.erase(stream);
    if (stream->capture->origin == stream) stream->capture->ended = true;
  }
  m.streams.erase(stream);  // its work goes on
  delete stream;
  return cudaSuccess;
}

}  // namespace

CUstream_st* find_stream(Machine& m, cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &m.legacy;
  return m.streams.contains(handle) ? handle : nullptr;
}

Point end_of(const CUstream_st& stream) { return {stream.timeline, stream.timeline->queued}; }

cudaError_t enqueue(Machine& m, CUstream_st& stream, std::function<void()> run) {
  if (stream.capture) {
    if (stream.capture->invalid) return cudaErrorStreamCaptureInvalidated;
    if (run) add_node(stream, std::move(run));
    return cudaSuccess;
  }
  Point after;
  if (&stream == &m.legacy) {
    if (const cudaError_t status = order_legacy(m); status != cudaSuccess) return status;
  } else if (stream.blocking) {
    after = end_of(m.legacy);
  }
  stream.timeline->queue.push_back({std::move(run), after});
  ++stream.timeline->queued;
  return cudaSuccess;
}

void run_until(Machine& m, const Point& point) {
  if (!point.timeline || point.timeline->done >= point.count) return;
  const Working working;
  const OpenMemory open(m);
  run_work(m, point);
}

void run_all(Machine& m) {
  for (size_t i = 0; i < m.timelines.size(); ++i) run_until(m, {m.timelines[i], m.timelines[i]->queued});
  std::erase_if(m.timelines, [](const auto& timeline) { return timeline.use_count() == 1; });
}

cudaError_t refuse_if_captured(CUstream_st& stream) {
  if (!stream.capture) return cudaSuccess;
  stream.capture->invalid = true;
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t refuse_in_capture(Machine& m) {
  cudaError_t status = cudaSuccess;
  for (const cudaStream_t stream : m.streams) {
    if (!stream->capture || stream->capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (stream->capture->mode == cudaStreamCaptureModeThreadLocal && stream->capture->thread != std::this_thread::get_id()) continue;
    status = refuse_if_captured(*stream);
  }
  return status;
}

}  // namespace tandem::emulator

using namespace tandem::emulator;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
  return call([=](Machine& m) {
    if (flags != cudaStreamDefault && flags != cudaStreamNonBlocking) return cudaErrorInvalidValue;
    *out = new CUstream_st;
    (*out)->blocking = flags == cudaStreamDefault;
    m.streams.insert(*out);
    m.timelines.push_back((*out)->timeline);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreate(cudaStream_t* out) { return cudaStreamCreateWithFlags(out, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return call(Entry::kRelease, [=](Machine& m) { return destroy(m, handle); });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return call([=](Machine& m) {
    CUstream_st* stream = find_stream(m, handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t refused = refuse_if_captured(*stream); refused != cudaSuccess) return refused;
    if (const cudaError_t status = enqueue(m, *stream, nullptr); status != cudaSuccess) return status;
    run_until(m, end_of(*stream));
    return cudaSuccess;
  });
}

// Does one piece of work a call, so that whoever asks again and again sees the end of it.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return call([=](Machine& m) {
    CUstream_st* stream = find_stream(m, handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t refused = refuse_if_captured(*stream); refused != cudaSuccess) return refused;
    Timeline& timeline = *stream->timeline;
    if (timeline.done == timeline.queued) return cudaSuccess;
    run_until(m, {stream->timeline, timeline.done + 1});
    return cudaErrorNotReady;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return call([=](Machine& m) {
    CUstream_st* stream = find_stream(m, handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    return enqueue(m, *stream, [=] { function(data); });
  });
}

}  // extern "C"
