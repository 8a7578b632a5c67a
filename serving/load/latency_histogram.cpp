#include "serving/load/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tandem {
namespace {

constexpr int kBits = 7;  // 128 buckets a power of two
constexpr uint64_t kWidth = uint64_t{1} << kBits;

size_t bucket_of(uint64_t value) {
  if (value < 2 * kWidth) return static_cast<size_t>(value);
  const int shift = std::bit_width(value) - kBits - 1;
  return static_cast<size_t>(shift) * kWidth + static_cast<size_t>(value >> shift);
}

// The largest value of a bucket.
uint64_t end_of(size_t bucket) {
  if (bucket < 2 * kWidth) return bucket;
  const size_t shift = bucket / kWidth - 1;
  return ((bucket - shift * kWidth + 1) << shift) - 1;
}

}  // namespace

void LatencyHistogram::add(std::chrono::nanoseconds latency) {
  const int64_t value = std::max<int64_t>(0, latency.count());
  const size_t bucket = bucket_of(static_cast<uint64_t>(value));
  if (counts_.size() <= bucket) counts_.resize(bucket + 1);
  ++counts_[bucket];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  if (counts_.size() < other.counts_.size()) counts_.resize(other.counts_.size());
  for (size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

std::chrono::nanoseconds LatencyHistogram::percentile(double share) const {
  if (count_ == 0) return {};
  const auto wanted = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(share * static_cast<double>(count_))));
  int64_t seen = 0;
  for (size_t bucket = 0; bucket < counts_.size(); ++bucket)
    if ((seen += counts_[bucket]) >= wanted)
      return std::chrono::nanoseconds(std::min<int64_t>(static_cast<int64_t>(end_of(bucket)), max_));
  return max();
}

std::chrono::nanoseconds LatencyHistogram::mean() const {
  return std::chrono::nanoseconds(count_ == 0 ? 0 : static_cast<int64_t>(sum_ / static_cast<double>(count_)));
}

int64_t LatencyHistogram::count_within(std::chrono::nanoseconds limit) const {
  if (limit.count() < 0) return 0;
  const size_t last = std::min(counts_.size(), bucket_of(static_cast<uint64_t>(limit.count())) + 1);
  int64_t within = 0;
  for (size_t bucket = 0; bucket < last; ++bucket) within += counts_[bucket];
  return within;
}

}  // namespace tandem
