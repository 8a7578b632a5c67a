// Captures and graphs of the emulated CUDA runtime. What is launched into a stream while it is captured becomes a node, its arguments as
// they are then; a launch of the graph does the nodes in an order that keeps nothing but their dependencies.
#include <algorithm>
#include <queue>
#include <utility>

#include "machine.h"

using namespace tandem::emulator;

namespace {

// Of the nodes that may be next always the one recorded last: a dependency that is missing shows.
std::vector<std::function<void()>> in_order(const Nodes& nodes) {
  std::vector<size_t> missing(nodes.size());
  std::vector<std::vector<size_t>> then(nodes.size());
  std::priority_queue<size_t> ready;
  for (size_t i = 0; i < nodes.size(); ++i) {
    missing[i] = nodes[i].after.size();
    for (const size_t before : nodes[i].after) then[before].push_back(i);
    if (missing[i] == 0) ready.push(i);
  }
  std::vector<std::function<void()>> steps;
  while (!ready.empty()) {
    const size_t node = ready.top();
    ready.pop();
    steps.push_back(nodes[node].run);
    for (const size_t next : then[node])
      if (--missing[next] == 0) ready.push(next);
  }
  return steps;
}

// Whether the origin waits, at its end, for all that other streams did.
bool joined(const Capture& capture) {
  std::vector<bool> before_end(capture.nodes.size());
  std::vector<size_t> left = capture.origin->last;
  while (!left.empty()) {
    const size_t node = left.back();
    left.pop_back();
    if (before_end[node]) continue;
    before_end[node] = true;
    left.insert(left.end(), capture.nodes[node].after.begin(), capture.nodes[node].after.end());
  }
  return std::ranges::all_of(before_end, [](bool reached) { return reached; });
}

cudaError_t begin(Machine& m, cudaStream_t handle, cudaStreamCaptureMode mode) {
  CUstream_st* stream = find_stream(m, handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (stream == &m.legacy) return cudaErrorStreamCaptureUnsupported;
  if (stream->capture) return cudaErrorIllegalState;
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->streams = {stream};
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  return cudaSuccess;
}

cudaError_t end(Machine& m, cudaStream_t handle, cudaGraph_t* out) {
  *out = nullptr;
  CUstream_st* stream = find_stream(m, handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  const std::shared_ptr<Capture> capture = stream->capture;
  if (!capture) return cudaErrorIllegalState;
  if (capture->origin != stream) {
    capture->invalid = true;
    return cudaErrorStreamCaptureUnmatched;
  }
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id()) return cudaErrorStreamCaptureWrongThread;
  const bool whole = joined(*capture);
  capture->ended = true;
  for (const cudaStream_t member : capture->streams) {
    member->capture = nullptr;
    member->last.clear();
  }
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (!whole) return cudaErrorStreamCaptureUnjoined;
  *out = new CUgraph_st{std::move(capture->nodes)};
  m.graphs.insert(*out);
  return cudaSuccess;
}

cudaError_t launch(Machine& m, cudaGraphExec_t graph, cudaStream_t handle) {
  CUstream_st* stream = find_stream(m, handle);
  if (!stream || !m.executables.contains(graph)) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t refused = refuse_if_captured(*stream); refused != cudaSuccess) return refused;
  stream->timeline->queue.push_back({nullptr, graph->last});
  ++stream->timeline->queued;
  const cudaError_t status = enqueue(m, *stream, [&m, steps = graph->steps] {
    for (const auto& step : *steps)
      if (m.sticky == cudaSuccess) step();
  });
  graph->last = end_of(*stream);
  return status;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call([=](Machine& m) { return begin(m, stream, mode); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  cudaGraph_t made = nullptr;
  const cudaError_t status = call(Entry::kRelease, [&](Machine& m) { return end(m, stream, &made); });  // a capture that fails ends, too
  if (status != cudaSuccess && made) static_cast<void>(cudaGraphDestroy(std::exchange(made, nullptr)));
  *graph = made;
  return status;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return call([=](Machine& m) {
    const CUstream_st* stream = find_stream(m, handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    *status = !stream->capture             ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return call([=](Machine& m) {
    if (!m.graphs.contains(graph)) return cudaErrorInvalidValue;
    if (nodes) return cudaErrorNotSupported;
    *count = graph->nodes.size();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
  *out = nullptr;
  return call([=](Machine& m) {
    if (!m.graphs.contains(graph)) return cudaErrorInvalidValue;
    *out = new CUgraphExec_st{std::make_shared<const std::vector<std::function<void()>>>(in_order(graph->nodes)), {}};
    m.executables.insert(*out);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  return call([=](Machine& m) { return launch(m, graph, stream); });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call(Entry::kRelease, [=](Machine& m) {
    if (m.graphs.erase(graph) == 0) return cudaErrorInvalidValue;
    delete graph;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  return call(Entry::kRelease, [=](Machine& m) {
    if (m.executables.erase(graph) == 0) return cudaErrorInvalidValue;
    delete graph;
    return cudaSuccess;
  });
}

}  // extern "C"
