#include "kernels/cuda/gemm/tensor.cuh"

#include "kernels/cuda/gemm/driver.h"

namespace tandem::cuda {
namespace {

template <class S>
void launch_tensor(const KernelContext& context, const Problem<typename S::T, typename S::Out>& problem, const Grid& grid) {
  launch<tensor_product<S>>(
      context, {.blocks = grid.blocks, .blocks_y = grid.blocks_y, .threads = S::kThreads, .shared = S::kShared}, problem);
}

template <class S>
constexpr TileSize<typename S::T, typename S::Out> kSize = {S::kM, S::kN, launch_tensor<S>};
template <class T, class Out>
constexpr TileSize<T, Out> kSizes[] = {kSize<TensorTile<T, Out, 128, 128, 2, 4>>, kSize<TensorTile<T, Out, 64, 64, 2, 2>>};

}  // namespace

template <>
std::span<const TileSize<F16, F16>> tile_sizes() {
  return kSizes<F16, F16>;
}
template <>
std::span<const TileSize<F16, float>> tile_sizes() {
  return kSizes<F16, float>;
}
template <>
std::span<const TileSize<BF16, BF16>> tile_sizes() {
  return kSizes<BF16, BF16>;
}
template <>
std::span<const TileSize<BF16, float>> tile_sizes() {
  return kSizes<BF16, float>;
}

}  // namespace tandem::cuda
