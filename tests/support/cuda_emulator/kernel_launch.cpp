// Kernels on the streams of the emulated CUDA runtime. What a launch is refused for is found by cudaGetLastError, as with <<<>>>.
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

void launch(const LaunchShape& shape, cudaStream_t handle, std::string_view, std::function<void()> body) {
  static_cast<void>(call([&](Machine& m) {
    CUstream_st* stream = find_stream(m, handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (!possible(shape)) return cudaErrorInvalidConfiguration;
    return enqueue(m, *stream, [&m, shape, body = std::move(body)] {
      if (!kernel_faults(m)) run_grid(shape, body);
    });
  }));
}

}  // namespace tandem::emulator
