// What a test may ask of the emulated CUDA runtime: to fail at a chosen call, to be a machine without a driver, to count what lives.
//
// Every entry of the runtime is a call, and so is a kernel's launch; cudaGetLastError, cudaPeekAtLastError and the names of errors are not.
// A call that gives something back (cudaFree, cudaStreamDestroy, ...) does so even when it fails: CUDA reports errors of earlier work there.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace tandem::emulator {

enum class Failure {
  kOnce,    // the call after it may succeed
  kSticky,  // every call after it fails the same way: an illegal address, a lost device
};

// Forgets scripts, sticky errors and counts: one GPU, a new driver, 4 GiB of memory. What lives goes on living; work in queues is done.
void reset();

// The nth call from now fails (1: the next).
void fail_call(int64_t n, cudaError_t error, Failure failure = Failure::kOnce);
// The nth kernel that is run from now faults: the launch succeeds, and whoever waits for the work gets the error, as does every later call.
void fault_kernel(int64_t n, cudaError_t error);

// CUDA version that the driver knows, e.g. 13000; 0: no driver is installed. One older than the runtime's major version is refused.
void set_driver(int version);
void set_device_count(int count);
// Bytes of each GPU.
void set_memory_limit(size_t bytes);

// Calls since reset().
int64_t calls();

struct LiveObjects {
  int64_t device_buffers = 0, device_bytes = 0, pinned_buffers = 0, streams = 0, events = 0, graphs = 0;  // graphs: of both kinds
  friend bool operator==(const LiveObjects&, const LiveObjects&) = default;
};
LiveObjects live_objects();

// Pieces of work that wait in queues: kernels, copies, host functions.
int64_t queued_work();

}  // namespace tandem::emulator
