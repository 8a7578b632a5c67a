// The table of one tier, from its vector.
#pragma once

#include "kernels/cpu/channels_last/depthwise_tile.h"
#include "kernels/cpu/channels_last/product_tile.h"
#include "kernels/cpu/channels_last/winograd_tile.h"

namespace tandem::cpu {

// kWidest: vectors of a panel of products.
template <class V, int kWidest>
constexpr ChannelsLastTier make_channels_last_tier() {
  return {V::kRows,
          kWidest * V::kLanes,
          V::kVectors * V::kLanes,
          V::kLanes,
          ProductTile<V, kWidest>::multiply,
          DepthwiseTile<V>::run_line,
          DepthwiseTile<V>::kPairPixels > 0,
          WinogradTile<V, 2>::kTransforms,
          WinogradTile<V, 4>::kTransforms};
}

}  // namespace tandem::cpu
