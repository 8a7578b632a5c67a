// One thread block on the CPU: the block is one OS thread, its CUDA threads are run one after the other, and one that meets a barrier or a
// warp collective is left on a stack of its own (a fiber) until the others are there. What hardware leaves undefined is an error here: a
// barrier that not all threads reach ends the program with the waiting threads named.
//
// Under ThreadSanitizer every CUDA thread is a TSan thread: a missing barrier is a data race at its source line. Under AddressSanitizer
// fibers have stacks that it knows.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace tandem::emulator {

struct LaunchShape {
  dim3 grid, block;
  size_t shared = 0;  // bytes of dynamic shared memory
};

struct Kernel {
  LaunchShape shape;
  std::string_view name;
  std::function<void()> body;  // of one thread
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
// Of the OS thread: a fiber never leaves it.
inline constinit thread_local const ThreadView* running_thread = nullptr;
inline constinit thread_local const BlockView* running_block = nullptr;
inline const ThreadView& this_thread() { return *running_thread; }
inline const BlockView& this_block() { return *running_block; }

void sync_threads();
// Hands `value` to all lanes of `mask`, which must name the caller; all of them call. Returns 32 values, by lane, until the next call.
const uint64_t* warp_exchange(uint32_t mask, uint64_t value);

// Runs one block in the calling thread. Dynamic shared memory starts as 0xFF bytes (NaN).
void run_block(const Kernel& kernel, dim3 index);

// Runs the blocks of a launch, in the calling thread and others, and returns when all have ended (grid.cpp).
void run_grid(const Kernel& kernel);

// Threads of a block run in their order, or, with another seed than 0, in a shuffled one. At the start the seed is that of the environment
// variable EMULATOR_SEED.
void set_schedule_seed(uint64_t seed);

// Ends the program when host code touches device memory, or a CUDA thread uses up its stack, saying so (fault.cpp). Once a thread.
void watch_faults();

// A CUDA thread's stack, with a page below it that nobody may touch.
inline constexpr size_t kStackBytes = 64 * 1024, kGuardBytes = 4096;
// Says which thread's stack ends at this address, and returns true, or returns false (for fault.cpp: in a signal handler).
bool describe_overflow(const void* address, char* text, size_t bytes);

}  // namespace tandem::emulator
