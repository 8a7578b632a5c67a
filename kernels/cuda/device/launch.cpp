#include "kernels/cuda/device/launch.h"

#include <string>

namespace tandem::cuda {
namespace detail {

void record_launch(LaunchRecorder& recorder, std::string_view kernel, const Grid& grid) {
  recorder.push_back({std::string(kernel), grid.blocks * grid.blocks_y * grid.blocks_z, grid.threads,
                      static_cast<int64_t>(grid.shared)});
}

void check_grid(std::string_view kernel, const Grid& grid) {
  constexpr int64_t kMostX = INT32_MAX, kMostYZ = 65535;
  require(grid.blocks <= kMostX && grid.blocks_y <= kMostYZ && grid.blocks_z <= kMostYZ,
          "a tensor needs a larger grid than CUDA has (kernel, blocks in x, y, z)", kernel, grid.blocks, grid.blocks_y, grid.blocks_z);
}

}  // namespace detail
}  // namespace tandem::cuda
