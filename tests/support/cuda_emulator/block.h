// One thread block on the CPU: every CUDA thread is a fiber, the block is one OS thread, and a barrier or a warp collective is a switch to
// the next fiber. What hardware leaves undefined is an error here: a barrier that not all threads reach ends the program with the waiting
// threads named.
//
// Under ThreadSanitizer every fiber is a TSan thread: a missing barrier is a data race at its source line. Under AddressSanitizer fibers
// have their own stacks.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace tandem::emulator {

struct LaunchShape {
  dim3 grid, block;
  size_t shared = 0;  // bytes of dynamic shared memory
};

// What the running CUDA thread sees of itself.
struct ThreadView {
  dim3 thread;
  unsigned linear = 0, lane = 0;
};
struct BlockView {
  dim3 grid, block, index;
  std::byte* shared = nullptr;
};
const ThreadView& this_thread();
const BlockView& this_block();

void sync_threads();
// Hands `value` to all lanes of `mask`, which must name the caller; all of them call. Returns 32 values, by lane.
const uint64_t* warp_exchange(uint32_t mask, uint64_t value);

// Runs the blocks of a launch on the OpenMP team and returns when all have ended. Shared memory starts as 0xFF bytes (NaN).
void run_grid(const LaunchShape& shape, const std::function<void()>& body);

// Threads of a block run in their order, or, with another seed than 0, in a shuffled one. From the environment variable EMULATOR_SEED at
// the start.
void set_schedule_seed(uint64_t seed);

}  // namespace tandem::emulator
