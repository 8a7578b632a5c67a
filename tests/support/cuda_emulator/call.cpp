// What all calls of the emulated CUDA runtime have in common, and the script that a test gives them.
#include <algorithm>

#include "machine.h"

namespace tandem::emulator {
namespace {

// Whether the event numbered `now` was planned; takes it off the plan.
bool take(std::vector<PlannedFailure>& plan, int64_t now, PlannedFailure& found) {
  const auto due = std::ranges::find(plan, now, &PlannedFailure::call);
  if (due == plan.end()) return false;
  found = *due;
  plan.erase(due);
  return true;
}

cudaError_t planned(Machine& m, Entry entry) {
  ++m.calls;
  if (PlannedFailure due; take(m.failures, m.calls, due)) {
    if (due.failure == Failure::kSticky) m.sticky = due.error;
    return due.error;
  }
  if (entry == Entry::kVersion) return cudaSuccess;
  if (m.driver / 1000 < CUDART_VERSION / 1000) return cudaErrorInsufficientDriver;
  if (m.devices == 0) return cudaErrorNoDevice;
  return m.sticky;
}

}  // namespace

Machine& machine() {
  static Machine& m = *new Machine;  // owners that are static may come here at the end of the program
  return m;
}

Host& host() {
  static thread_local Host h;
  return h;
}

cudaError_t call(Entry entry, const std::function<cudaError_t(Machine&)>& body) {
  if (host().working) return host().last_error = cudaErrorNotPermitted;
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  cudaError_t error = planned(m, entry);
  if (error == cudaSuccess || entry == Entry::kRelease) {
    const cudaError_t of_body = body(m);
    if (error == cudaSuccess) error = of_body;
    if (error == cudaSuccess && entry != Entry::kVersion) error = m.sticky;  // work that ran now may have faulted
  }
  if (error != cudaSuccess && error != cudaErrorNotReady) host().last_error = error;
  return error;
}

bool kernel_faults(Machine& m) {
  ++m.kernels;
  PlannedFailure due;
  if (!take(m.faults, m.kernels, due)) return false;
  m.sticky = due.error;
  return true;
}

void reset() {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  m.faults.clear();
  run_all(m);
  m.failures.clear();
  m.calls = m.kernels = 0;
  m.sticky = host().last_error = cudaSuccess;
  m.driver = CUDART_VERSION;
  m.devices = 1;
  m.memory_limit = size_t{4} << 30;
}

void fail_call(int64_t n, cudaError_t error, Failure failure) {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  m.failures.push_back({m.calls + n, error, failure});
}

void fault_kernel(int64_t n, cudaError_t error) {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  m.faults.push_back({m.kernels + n, error, Failure::kSticky});
}

void set_driver(int version) {
  const std::lock_guard lock(machine().mutex);
  machine().driver = version;
}

void set_device_count(int count) {
  const std::lock_guard lock(machine().mutex);
  machine().devices = count;
}

void set_memory_limit(size_t bytes) {
  const std::lock_guard lock(machine().mutex);
  machine().memory_limit = bytes;
}

int64_t calls() {
  const std::lock_guard lock(machine().mutex);
  return machine().calls;
}

LiveObjects live_objects() {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  LiveObjects live{.streams = static_cast<int64_t>(m.streams.size()),
                   .events = static_cast<int64_t>(m.events.size()),
                   .graphs = static_cast<int64_t>(m.graphs.size() + m.executables.size())};
  for (const auto& [address, one] : m.memory) {
    ++(one.pinned ? live.pinned_buffers : live.device_buffers);
    if (!one.pinned) live.device_bytes += static_cast<int64_t>(one.bytes);
  }
  return live;
}

int64_t queued_work() {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  int64_t count = 0;
  for (const auto& timeline : m.timelines)
    count += std::ranges::count_if(timeline->queue, [](const Work& work) { return work.run != nullptr; });
  return count;
}

}  // namespace tandem::emulator
