// The table of one tier, from its vector.
#pragma once

#include "kernels/cpu/channels_last/depthwise_tile.h"
#include "kernels/cpu/channels_last/product_tile.h"

namespace tandem::cpu {

template <class V>
constexpr ChannelsLastTier make_channels_last_tier() {
  return {V::kRows, V::kVectors * V::kLanes, V::kLanes, ProductTile<V>::multiply, DepthwiseTile<V>::run_line};
}

}  // namespace tandem::cpu
