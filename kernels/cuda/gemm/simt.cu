#include "kernels/cuda/gemm/simt.cuh"

#include "kernels/cuda/gemm/driver.h"

namespace tandem::cuda {
namespace {

template <class S>
void launch_simt(const KernelContext& context, const Problem<typename S::T, typename S::T>& problem, const Grid& grid) {
  launch<simt_product<S>>(context, {.blocks = grid.blocks, .blocks_y = grid.blocks_y, .threads = S::kThreads}, problem);
}

template <class S>
constexpr TileSize<typename S::T, typename S::T> kSize = {S::kM, S::kN, launch_simt<S>};

}  // namespace

template <>
std::span<const TileSize<float, float>> tile_sizes() {
  static constexpr TileSize<float, float> kSizes[] = {kSize<SimtTile<float, 128, 128, 8>>, kSize<SimtTile<float, 64, 64, 4>>,
                                                      kSize<SimtTile<float, 32, 32, 4>>};
  return kSizes;
}

template <>
std::span<const TileSize<double, double>> tile_sizes() {
  static constexpr TileSize<double, double> kSizes[] = {kSize<SimtTile<double, 64, 64, 4>>, kSize<SimtTile<double, 32, 32, 4>>};
  return kSizes;
}

}  // namespace tandem::cuda
