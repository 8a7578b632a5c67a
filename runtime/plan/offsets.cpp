#include "runtime/plan/offsets.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <queue>
#include <random>

#include "kernels/base/checked.h"

namespace tandem {
namespace {

constexpr size_t kMostPairs = 4'000'000;  // of blocks alive together: more are packed by time
constexpr size_t kMostWork = 6'000'000;   // pairs looked at in the search: some tens of milliseconds
constexpr size_t kMostCrowds = 8;         // steps from which blocks are placed outwards

int64_t padded(const Block& block) { return round_up(block.bytes, kArenaAlignment); }

std::vector<size_t> by_time(std::span<const Block> blocks) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return blocks[i].first; });
  return order;
}

// Which blocks are alive together with each one.
class Neighbours {
 public:
  // Nothing if there are too many pairs.
  static std::optional<Neighbours> of(std::span<const Block> blocks) {
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    std::vector<size_t> alive;
    for (size_t i : by_time(blocks)) {
      if (blocks[i].bytes == 0) continue;
      std::erase_if(alive, [&](size_t other) { return blocks[other].last < blocks[i].first; });
      if (pairs.size() + alive.size() > kMostPairs) return std::nullopt;
      for (size_t other : alive) pairs.emplace_back(static_cast<uint32_t>(i), static_cast<uint32_t>(other));
      alive.push_back(i);
    }
    return Neighbours(blocks.size(), pairs);
  }
  std::span<const uint32_t> operator[](size_t block) const {
    return std::span(all_).subspan(begin_[block], begin_[block + 1] - begin_[block]);
  }
  size_t pairs() const { return all_.size() / 2; }

 private:
  Neighbours(size_t blocks, std::span<const std::pair<uint32_t, uint32_t>> pairs) : begin_(blocks + 1, 0), all_(2 * pairs.size()) {
    for (const auto& [a, b] : pairs) ++begin_[a + 1], ++begin_[b + 1];
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    std::vector<size_t> next(begin_.begin(), begin_.end() - 1);
    for (const auto& [a, b] : pairs) all_[next[a]++] = b, all_[next[b]++] = a;
  }

  std::vector<size_t> begin_;
  std::vector<uint32_t> all_;
};

class Packer {
 public:
  Packer(std::span<const Block> blocks, const Neighbours& neighbours)
      : blocks_(blocks), neighbours_(neighbours), bound_(lower_bound(blocks)), order_(by_time(blocks)) {
    std::erase_if(order_, [&](size_t i) { return blocks[i].bytes == 0; });
    best_ = place(order_);
  }

  Packing run() {
    const auto lifetime = [](const Block& b) { return static_cast<double>(b.last - b.first + 1); };
    const auto size = [](const Block& b) { return static_cast<double>(b.bytes); };
    try_order(size);
    try_order([&](const Block& b) { return size(b) * lifetime(b); });
    try_order(lifetime);
    for (int step : crowded_steps()) try_outwards(step, size);
    search();
    return std::move(best_);
  }

 private:
  // Largest weight first.
  template <class Weight>
  void try_order(Weight weight) {
    if (best_.bytes == bound_) return;
    std::vector<size_t> order = order_;
    std::ranges::sort(order);
    std::ranges::stable_sort(order, std::greater<>{}, [&](size_t i) { return weight(blocks_[i]); });
    keep_if_better(order, place(order));
  }

  // What is alive at the step first, then what is nearest in time: where all room is taken, each step leaves the next one little choice.
  template <class Size>
  void try_outwards(int step, Size size) {
    if (best_.bytes == bound_) return;
    std::vector<size_t> order = order_;
    std::ranges::sort(order);
    const auto distance = [&](size_t i) { return std::max({0, blocks_[i].first - step, step - blocks_[i].last}); };
    std::ranges::stable_sort(order, {}, [&](size_t i) { return std::pair(distance(i), -size(blocks_[i])); });
    keep_if_better(order, place(order));
  }

  // Steps at which most is alive, at first the fullest.
  std::vector<int> crowded_steps() const {
    std::vector<std::pair<int64_t, int>> alive;
    for (size_t i : order_) {
      int64_t bytes = padded(blocks_[i]);
      for (uint32_t other : neighbours_[i])
        if (blocks_[other].first <= blocks_[i].first) bytes += padded(blocks_[other]);
      alive.emplace_back(-bytes, blocks_[i].first);
    }
    std::ranges::sort(alive);
    std::vector<int> steps;
    for (const auto& [bytes, step] : alive)
      if (steps.size() < kMostCrowds && std::ranges::find(steps, step) == steps.end()) steps.push_back(step);
    return steps;
  }

  bool keep_if_better(const std::vector<size_t>& order, Packing packing) {
    if (packing.bytes >= best_.bytes) return false;
    best_ = std::move(packing);
    order_ = order;
    return true;
  }

  // Each block in the lowest gap between those that are there already.
  Packing place(std::span<const size_t> order) {
    Packing packing{std::vector<int64_t>(blocks_.size(), -1), 0};
    for (size_t i : order) {
      taken_.clear();
      for (uint32_t other : neighbours_[i])
        if (packing.offsets[other] >= 0) taken_.emplace_back(packing.offsets[other], padded(blocks_[other]));
      std::ranges::sort(taken_);
      int64_t offset = 0;
      for (const auto& [begin, bytes] : taken_) {
        if (begin >= offset + padded(blocks_[i])) break;
        offset = std::max(offset, begin + bytes);
      }
      packing.offsets[i] = offset;
      packing.bytes = std::max(packing.bytes, checked_add(offset, padded(blocks_[i]), "arena"));
    }
    for (int64_t& offset : packing.offsets) offset = std::max<int64_t>(offset, 0);  // of empty blocks
    return packing;
  }

  // The block that ends highest takes its turn before one of those that are in its way.
  void search() {
    const int64_t enough = bound_ + bound_ / 100;
    const size_t rounds = kMostWork / (neighbours_.pairs() + order_.size() + 1);
    std::minstd_rand random;  // a fixed sequence
    Packing now = best_;
    std::vector<size_t> order = order_;
    for (size_t round = 0; round < rounds && best_.bytes > enough; ++round) {
      const auto highest = std::ranges::find_if(order, [&](size_t i) { return now.offsets[i] + padded(blocks_[i]) == now.bytes; });
      const auto in_the_way = neighbours_[*highest];
      if (in_the_way.empty()) return;
      const auto before = std::ranges::find(order, in_the_way[random() % in_the_way.size()]);
      std::vector<size_t> other = order;
      const auto at = highest - order.begin(), to = before - order.begin();
      if (random() % 2)
        std::swap(other[static_cast<size_t>(at)], other[static_cast<size_t>(to)]);
      else if (to < at)
        std::rotate(other.begin() + to, other.begin() + at, other.begin() + at + 1);
      else
        std::rotate(other.begin() + at, other.begin() + at + 1, other.begin() + to + 1);
      Packing packing = place(other);
      if (packing.bytes > now.bytes) continue;
      order = other;
      keep_if_better(order, packing);
      now = std::move(packing);
    }
  }

  std::span<const Block> blocks_;
  const Neighbours& neighbours_;
  int64_t bound_;
  std::vector<size_t> order_;  // that of `best_`
  Packing best_;
  std::vector<std::pair<int64_t, int64_t>> taken_;
};

// The gaps of an arena while time goes on.
class Gaps {
 public:
  int64_t take(int64_t bytes) {
    for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
      if (gap->second < bytes) continue;
      const auto [offset, room] = *gap;
      gaps_.erase(gap);
      if (room > bytes) gaps_.emplace(offset + bytes, room - bytes);
      return offset;
    }
    int64_t offset = end_;
    if (!gaps_.empty() && gaps_.rbegin()->first + gaps_.rbegin()->second == end_) {  // the last one grows
      offset = gaps_.rbegin()->first;
      gaps_.erase(std::prev(gaps_.end()));
    }
    end_ = checked_add(offset, bytes, "arena");
    return offset;
  }
  void give_back(int64_t offset, int64_t bytes) {
    const auto gap = gaps_.emplace(offset, bytes).first;
    if (const auto next = std::next(gap); next != gaps_.end() && offset + bytes == next->first) {
      gap->second += next->second;
      gaps_.erase(next);
    }
    if (gap == gaps_.begin()) return;
    if (const auto before = std::prev(gap); before->first + before->second == offset) {
      before->second += gap->second;
      gaps_.erase(gap);
    }
  }
  int64_t end() const { return end_; }

 private:
  std::map<int64_t, int64_t> gaps_;  // offset -> bytes
  int64_t end_ = 0;
};

Packing pack_by_time(std::span<const Block> blocks) {
  Packing packing{std::vector<int64_t>(blocks.size(), 0), 0};
  using Ends = std::pair<int, size_t>;
  std::priority_queue<Ends, std::vector<Ends>, std::greater<>> alive;
  Gaps gaps;
  for (size_t i : by_time(blocks)) {
    if (blocks[i].bytes == 0) continue;
    for (; !alive.empty() && alive.top().first < blocks[i].first; alive.pop())
      gaps.give_back(packing.offsets[alive.top().second], padded(blocks[alive.top().second]));
    packing.offsets[i] = gaps.take(padded(blocks[i]));
    alive.emplace(blocks[i].last, i);
  }
  packing.bytes = gaps.end();
  return packing;
}

}  // namespace

Packing pack(std::span<const Block> blocks) {
  const std::optional<Neighbours> neighbours = Neighbours::of(blocks);
  return neighbours ? Packer(blocks, *neighbours).run() : pack_by_time(blocks);
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
