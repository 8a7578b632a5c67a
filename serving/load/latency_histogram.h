// Latencies counted in buckets of nearly equal relative width: any percentile to within 1%, in memory that does not grow.
//
// Log-linear, as HdrHistogram has it: 128 buckets for each power of two, one a nanosecond below 256 ns. Merging is adding counts,
// so percentiles are those of all requests and never averages of percentiles.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tandem {

class LatencyHistogram {
 public:
  // Below 0 counts as 0.
  void add(std::chrono::nanoseconds latency);
  void merge(const LatencyHistogram& other);

  int64_t count() const { return count_; }
  // The least latency that `share` (0 to 1) of the requests did not exceed, up to the width of its bucket; 0 if there are none.
  std::chrono::nanoseconds percentile(double share) const;
  std::chrono::nanoseconds mean() const;
  std::chrono::nanoseconds max() const { return std::chrono::nanoseconds(max_); }
  // How many took no longer than `limit`, up to the width of its bucket.
  int64_t count_within(std::chrono::nanoseconds limit) const;

 private:
  std::vector<int64_t> counts_;
  int64_t count_ = 0, max_ = 0;
  double sum_ = 0;
};

}  // namespace tandem
