// 95% intervals of metrics: Wilson's for a proportion, the percentile bootstrap for everything else.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/metrics/predictions.h"

namespace tandem {

struct Interval {
  double low = 0;
  double high = 0;
};

// Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927). REQUIRES: 0 <= hits <=
// rows, rows >= 1.
Interval wilson_interval(int64_t hits, int64_t rows);

struct BootstrapOptions {
  int resamples = 1000;
  uint64_t seed = 0;
  int threads = 1;  // changes the time, never the result
};

// Computes `statistics` numbers for rows counted `weights` times into `out`. Called from several threads at once.
using Statistic = std::function<void(RowWeights weights, std::span<double> out)>;

// The 2.5th and 97.5th percentile (linear between order statistics) of each number over resamples of `rows` rows with
// replacement, drawn by Philox from (seed, resample). NaNs are left out; if more than half of a number's values are, its interval
// is NaN. Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
std::vector<Interval> bootstrap_intervals(int64_t rows, size_t statistics, const Statistic& statistic,
                                          const BootstrapOptions& options);

}  // namespace tandem
