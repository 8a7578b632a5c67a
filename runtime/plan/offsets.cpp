#include "runtime/plan/offsets.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "kernels/base/checked.h"

namespace tandem {
namespace {

int64_t padded(const Block& block) { return round_up(block.bytes, kArenaAlignment); }

Packing pack_in_order(std::span<const Block> blocks, std::span<const size_t> order) {
  Packing packing{std::vector<int64_t>(blocks.size(), 0), 0};
  std::vector<size_t> placed;  // sorted by offset
  for (size_t i : order) {
    if (blocks[i].bytes == 0) continue;
    int64_t offset = 0;
    for (size_t other : placed) {  // the lowest gap between blocks alive at the same time
      if (blocks[other].last < blocks[i].first || blocks[other].first > blocks[i].last) continue;
      if (packing.offsets[other] >= offset + padded(blocks[i])) break;
      offset = std::max(offset, packing.offsets[other] + padded(blocks[other]));
    }
    packing.offsets[i] = offset;
    packing.bytes = std::max(packing.bytes, checked_add(offset, padded(blocks[i]), "arena"));
    placed.insert(std::ranges::upper_bound(placed, offset, {}, [&](size_t p) { return packing.offsets[p]; }), i);
  }
  return packing;
}

template <class Weight>
Packing pack_by(std::span<const Block> blocks, Weight weight) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater<>{}, [&](size_t i) { return weight(blocks[i]); });
  return pack_in_order(blocks, order);
}

}  // namespace

Packing pack(std::span<const Block> blocks) {
  Packing by_size = pack_by(blocks, [](const Block& b) { return static_cast<double>(b.bytes); });
  Packing by_area = pack_by(blocks, [](const Block& b) { return static_cast<double>(b.bytes) * (b.last - b.first + 1); });
  return by_area.bytes < by_size.bytes ? by_area : by_size;
}

int64_t lower_bound(std::span<const Block> blocks) {
  std::map<int, int64_t> change;
  for (const Block& block : blocks) {
    change[block.first] += padded(block);
    change[block.last + 1] -= padded(block);
  }
  int64_t alive = 0, most = 0;
  for (const auto& [step, bytes] : change) most = std::max(most, alive += bytes);
  return most;
}

}  // namespace tandem
