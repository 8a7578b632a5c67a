// Offset packing: where in one arena each block lies, so that blocks alive at the same time never overlap.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tandem {

struct Block {
  int64_t bytes = 0;
  int first = 0, last = 0;  // alive in [first, last]
};

struct Packing {
  std::vector<int64_t> offsets;  // one a block, multiples of kArenaAlignment
  int64_t bytes = 0;             // the end of the highest block
};

inline constexpr int64_t kArenaAlignment = 64;

// Blocks are placed one after another at the lowest place that is free, in several orders: by size, by size times lifetime, by lifetime, by time
// (Pisarchyk, Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020), and from the steps at which most is alive outwards. Where
// the best of them is not near the lower bound, a search follows that changes the order around the block that ends highest (as in Arm's Vela
// compiler), a bounded number of steps. A function of the blocks alone. Where very many blocks are alive at once, by time only, in O(n log n) and
// the gaps there are.
Packing pack(std::span<const Block> blocks);

// The most bytes alive at any one step: no packing can be smaller.
int64_t lower_bound(std::span<const Block> blocks);

}  // namespace tandem
