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

// Greedy by size, and greedy by size times lifetime; the smaller result is kept (Pisarchyk, Lee, "Efficient Memory Management for
// Deep Neural Net Inference", 2020).
Packing pack(std::span<const Block> blocks);

// The most bytes alive at any one step: no packing can be smaller.
int64_t lower_bound(std::span<const Block> blocks);

}  // namespace tandem
