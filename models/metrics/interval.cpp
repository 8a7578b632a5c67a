#include "models/metrics/interval.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"

namespace tandem {
namespace {

constexpr double kNormal975 = 1.959963984540054;  // the 97.5th percentile of the standard normal distribution

// How often each row is drawn in one resample. A word times `rows` over 2^32 is uniform to within rows / 2^32.
void draw(int64_t rows, uint64_t seed, uint64_t resample, std::vector<uint32_t>& weights) {
  std::fill(weights.begin(), weights.end(), 0);
  for (uint64_t block = 0, left = static_cast<uint64_t>(rows); left > 0; ++block)
    for (uint32_t word : philox(seed, block, resample)) {
      if (left == 0) break;
      ++weights[(uint64_t{word} * static_cast<uint64_t>(rows)) >> 32];
      --left;
    }
}

double percentile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval central_interval(std::vector<double> values) {
  const size_t drawn = values.size();
  std::erase_if(values, [](double value) { return std::isnan(value); });
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (values.size() * 2 < drawn || values.empty()) return {kNone, kNone};
  std::sort(values.begin(), values.end());
  return {percentile(values, 0.025), percentile(values, 0.975)};
}

}  // namespace

Interval wilson_interval(int64_t hits, int64_t rows) {
  const auto n = static_cast<double>(rows);
  const double p = static_cast<double>(hits) / n, z2 = kNormal975 * kNormal975;
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNormal975 / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {hits == 0 ? 0 : middle - half, hits == rows ? 1 : middle + half};
}

std::vector<Interval> bootstrap_intervals(int64_t rows, size_t statistics, const Statistic& statistic,
                                          const BootstrapOptions& options) {
  require(rows >= 1 && rows < int64_t{1} << 32, "bootstrap needs 1 to 2^32 rows", rows);
  require(options.resamples >= 1, "bootstrap needs at least one resample", options.resamples);
  const auto resamples = static_cast<size_t>(options.resamples);
  std::vector<double> values(resamples * statistics);
  std::exception_ptr failure;  // an exception must not leave a parallel region
#pragma omp parallel num_threads(options.threads)
  {
    std::vector<uint32_t> weights(static_cast<size_t>(rows));
#pragma omp for schedule(static)
    for (size_t r = 0; r < resamples; ++r) try {
        draw(rows, options.seed, r, weights);
        statistic(weights, std::span<double>(values).subspan(r * statistics, statistics));
      } catch (...) {
#pragma omp critical
        failure = std::current_exception();
      }
  }
  if (failure) std::rethrow_exception(failure);

  std::vector<Interval> intervals;
  for (size_t s = 0; s < statistics; ++s) {
    std::vector<double> column;
    for (size_t r = 0; r < resamples; ++r) column.push_back(values[r * statistics + s]);
    intervals.push_back(central_interval(std::move(column)));
  }
  return intervals;
}

}  // namespace tandem
