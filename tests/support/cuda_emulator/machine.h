// What stands behind the calls of the emulated CUDA runtime. One mutex guards all of it; work runs in the thread that waits for it.
//
// Nothing is done when it is asked for: a stream is a queue, emptied only as far as somebody waits. So a missing synchronisation shows as
// old data, every time. Device memory is open to kernels and copies alone; the host dies of touching it (memory.cpp).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "script.h"

namespace tandem::emulator {

struct Timeline;

// The first `count` pieces of a timeline's work.
struct Point {
  std::shared_ptr<Timeline> timeline;
  uint64_t count = 0;
};

struct Work {
  std::function<void()> run;  // or nothing: only to wait
  Point after;                // what is done before it
};

// The work of a stream; outlives the stream while some is left.
struct Timeline {
  std::deque<Work> queue;
  uint64_t queued = 0, done = 0;
};

// A piece of a graph, and those that must be done before it.
struct Node {
  std::function<void()> run;
  std::vector<size_t> after;
};
using Nodes = std::vector<Node>;

struct Capture {
  Nodes nodes;
  cudaStream_t origin = nullptr;
  std::set<cudaStream_t> streams;  // the origin, and those that joined by waiting for one of its events
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalid = false, ended = false;
};

}  // namespace tandem::emulator

struct CUstream_st {
  std::shared_ptr<tandem::emulator::Timeline> timeline = std::make_shared<tandem::emulator::Timeline>();
  bool blocking = true;  // ordered with the legacy stream
  std::shared_ptr<tandem::emulator::Capture> capture;
  std::vector<size_t> last;  // nodes of the capture that the next one comes after
};

struct CUevent_st {
  tandem::emulator::Point point;  // of the last record
  std::shared_ptr<tandem::emulator::Capture> capture;
  std::vector<size_t> nodes;  // of the capture that it was recorded in
};

struct CUgraph_st {
  tandem::emulator::Nodes nodes;
};

struct CUgraphExec_st {
  std::shared_ptr<const std::vector<std::function<void()>>> steps;
  tandem::emulator::Point last;  // launch: the next one comes after it
};

namespace tandem::emulator {

struct Allocation {
  size_t bytes = 0;
  void* pages = nullptr;  // what was mapped for it
  size_t mapped = 0;
  int device = 0;
  bool pinned = false;
};

struct PlannedFailure {
  int64_t call = 0;
  cudaError_t error = cudaSuccess;
  Failure failure = Failure::kOnce;
};

struct Machine {
  std::mutex mutex;
  // script.cpp
  int64_t calls = 0, kernels = 0;
  std::vector<PlannedFailure> failures, faults;
  cudaError_t sticky = cudaSuccess;
  int driver = CUDART_VERSION, devices = 1;
  size_t memory_limit = size_t{4} << 30;
  // memory.cpp
  std::map<uintptr_t, Allocation> memory;
  int open = 0;
  // stream.cpp, event.cpp, graph.cpp
  CUstream_st legacy;
  std::vector<std::shared_ptr<Timeline>> timelines{legacy.timeline};
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  std::set<cudaGraph_t> graphs;
  std::set<cudaGraphExec_t> executables;
};
Machine& machine();

// The calling thread's.
struct Host {
  cudaError_t last_error = cudaSuccess;
  int device = 0;
  bool working = false;  // inside a kernel or a host function, where no call is allowed
};
Host& host();

enum class Entry {
  kOrdinary,
  kRelease,  // gives something back even if it is to fail
  kVersion,  // answers without a driver, too
};
// One call of the runtime: counted, failed if the script says so, its error remembered for cudaGetLastError.
cudaError_t call(Entry entry, const std::function<cudaError_t(Machine&)>& body);
inline cudaError_t call(const std::function<cudaError_t(Machine&)>& body) { return call(Entry::kOrdinary, body); }

// Streams. All of these are called with the mutex held.
// The stream behind a handle (null: the legacy stream), or null if there is none.
CUstream_st* find_stream(Machine& m, cudaStream_t handle);
// Puts work at the end of a stream, or into the graph that it is being captured for. Work without a function is a point to wait for.
cudaError_t enqueue(Machine& m, CUstream_st& stream, std::function<void()> run);
Point end_of(const CUstream_st& stream);
void run_until(Machine& m, const Point& point);
void run_all(Machine& m);
// Captures. A call that might wait for the device is refused in the thread of a capture, and spoils it.
cudaError_t refuse_in_capture(Machine& m);
// The same for one that waits for this stream.
cudaError_t refuse_if_captured(CUstream_st& stream);

// Counts a kernel as it runs. Whether it faults, as scripted.
bool kernel_faults(Machine& m);

// The allocation that holds all of these bytes, or null. Its end holds 0 bytes.
const Allocation* holder(const Machine& m, const void* memory, size_t bytes);

// Device memory may be touched while one of these lives.
class OpenMemory {
 public:
  explicit OpenMemory(Machine& m);
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;

 private:
  Machine& machine_;
};

}  // namespace tandem::emulator
