// Where a kernel runs and what it may use while it runs. Made by the lane, passed to every kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tandem {

class Communicator;  // runtime/comm: only collectives use it

struct KernelContext {
  int threads = 1;                       // size of the lane's OpenMP team (CPU)
  void* stream = nullptr;                // the lane's cudaStream_t (CUDA)
  Communicator* communicator = nullptr;  // the ranks of a data-parallel run, or null
  std::span<std::byte> workspace = {};   // planned scratch memory, 64-byte aligned, on the kernel's own device
};

}  // namespace tandem
