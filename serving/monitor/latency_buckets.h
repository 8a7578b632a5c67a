// Latencies counted by size as they happen: what moving percentiles are drawn from, by whoever looks at two moments.
//
// Log-linear: eight buckets for each power of two of nanoseconds, so a bucket is at most an eighth wide. Counters only grow; one relaxed
// addition a request, and no lock.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace tandem {

class LatencyBuckets {
 public:
  // Safe from any thread. Below 0 counts as 0.
  void add(std::chrono::nanoseconds latency) {
    const uint64_t ns = latency.count() > 0 ? static_cast<uint64_t>(latency.count()) : 0;
    counts_[index_of(ns)].fetch_add(1, std::memory_order_relaxed);
  }
  // (the bucket's upper end in nanoseconds, how many), ascending; buckets without any are left out.
  std::vector<std::pair<int64_t, uint64_t>> counts() const {
    std::vector<std::pair<int64_t, uint64_t>> all;
    for (size_t i = 0; i < counts_.size(); ++i)
      if (const uint64_t count = counts_[i].load(std::memory_order_relaxed)) all.emplace_back(upper_end(i), count);
    return all;
  }

 private:
  static constexpr int kBits = 3;              // 2^3 buckets an octave
  static constexpr uint64_t kLongest = (1ull << 42) - 1;  // 73 minutes; longer ones count there
  static size_t index_of(uint64_t ns) {
    if (ns > kLongest) ns = kLongest;
    if (ns < (2u << kBits)) return ns;
    const int shift = std::bit_width(ns) - kBits - 1;
    return (static_cast<size_t>(shift) << kBits) + (ns >> shift);
  }
  static int64_t upper_end(size_t index) {
    if (index < (2u << kBits)) return static_cast<int64_t>(index);
    const int shift = static_cast<int>(index >> kBits) - 1;
    const size_t mantissa = index - (static_cast<size_t>(shift) << kBits);
    return static_cast<int64_t>(((mantissa + 1) << shift) - 1);
  }
  static constexpr size_t kBuckets = ((42 - kBits) << kBits) + (1 << kBits);

  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
};

}  // namespace tandem
