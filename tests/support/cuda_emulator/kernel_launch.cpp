// Kernels on the streams of the emulated CUDA runtime. What a launch is refused for is found by cudaGetLastError, as with <<<>>>.
#include <cstdio>

#include "cuda_emulator.h"
#include "machine.h"

namespace tandem::emulator {
namespace {

constexpr uint64_t kMostThreads = 1024, kMostBlocksX = INT32_MAX, kMostBlocksYZ = 65535;
constexpr size_t kMostShared = 227 * 1024;

bool possible(const LaunchShape& shape) {
  const uint64_t threads = uint64_t{shape.block.x} * shape.block.y * shape.block.z;
  return threads >= 1 && threads <= kMostThreads && shape.grid.x >= 1 && shape.grid.y >= 1 && shape.grid.z >= 1 &&
         shape.grid.x <= kMostBlocksX && shape.grid.y <= kMostBlocksYZ && shape.grid.z <= kMostBlocksYZ && shape.shared <= kMostShared;
}

}  // namespace

bool device_can_reach(const volatile void* pointer) {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  return pointer == nullptr || holder(m, const_cast<const void*>(pointer), 0) != nullptr;
}

void enqueue_kernel(Kernel kernel, cudaStream_t handle, int foreign_argument) {
  static_cast<void>(call([&](Machine& m) {
    CUstream_st* stream = find_stream(m, handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (!possible(kernel.shape)) return cudaErrorInvalidConfiguration;
    if (foreign_argument >= 0) {
      std::fprintf(stderr, "cuda emulator: argument %d of %.*s points to memory of the host\n", foreign_argument,
                   static_cast<int>(kernel.name.size()), kernel.name.data());
      return m.sticky = cudaErrorIllegalAddress;
    }
    return enqueue(m, *stream, [&m, kernel = std::move(kernel)] {
      if (!kernel_faults(m)) run_grid(kernel);
    });
  }));
}

}  // namespace tandem::emulator
