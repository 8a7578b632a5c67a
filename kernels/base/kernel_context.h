// Where a kernel runs and what it may use while it runs. Made by the lane, passed to every kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tandem {

class Communicator;  // runtime/comm: only collectives use it
namespace cuda {
class Session;  // kernels/cuda/device/session.h: stream, math mode and library handles of one lane on one GPU
}

struct KernelContext {
  int threads = 1;                       // size of the lane's OpenMP team (CPU)
  cuda::Session* cuda = nullptr;         // the lane's place on a GPU (CUDA); null: the default stream
  Communicator* communicator = nullptr;  // the ranks of a data-parallel run, or null
  std::span<std::byte> workspace = {};   // planned scratch memory, 64-byte aligned, on the kernel's own device
};

}  // namespace tandem
