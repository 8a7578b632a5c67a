#include "models/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace tandem {
namespace {

std::vector<int64_t> order(int64_t n, uint64_t seed, uint64_t epoch) {
  const Permutation permutation(n, seed, epoch);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(permutation(i));
  return out;
}

TEST(Permutation, VisitsEveryRowOnce) {
  for (int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 64, 65, 100, 255, 257, 1000, 4096, 4097, 50'000}) {
    std::vector<int64_t> rows = order(n, 7, 3);
    std::sort(rows.begin(), rows.end());
    std::vector<int64_t> expected(static_cast<size_t>(n));
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(rows, expected) << n;
  }
}

TEST(Permutation, DependsOnSeedAndEpochOnly) {
  EXPECT_EQ(order(1000, 1, 0), order(1000, 1, 0));
  std::set<std::vector<int64_t>> orders;
  for (uint64_t seed = 0; seed < 4; ++seed)
    for (uint64_t epoch = 0; epoch < 4; ++epoch) orders.insert(order(1000, seed, epoch));
  EXPECT_EQ(orders.size(), 16u);
}

// Over many epochs each row must stand at each place about equally often. The statistic has (n-1)^2 degrees of freedom; its
// standard deviation is sqrt(2 * df), and six of them are allowed.
TEST(Permutation, PlacesAreUniform) {
  for (int64_t n : {2, 3, 5, 13, 24}) {
    const int64_t epochs = 20'000;
    std::vector<double> counts(static_cast<size_t>(n * n));
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      const Permutation permutation(n, 11, static_cast<uint64_t>(epoch));
      for (int64_t i = 0; i < n; ++i) ++counts[static_cast<size_t>(i * n + permutation(i))];
    }
    const double expected = static_cast<double>(epochs) / static_cast<double>(n),
                 freedom = static_cast<double>((n - 1) * (n - 1));
    double chi_square = 0;
    for (double count : counts) chi_square += (count - expected) * (count - expected) / expected;
    EXPECT_LT(chi_square, freedom + 6 * std::sqrt(2 * freedom)) << n;
  }
}

// Of a random order half of the neighbouring pairs ascend, within a few times sqrt(n / 12).
TEST(Permutation, NeighboursAreUnordered) {
  const int64_t n = 100'000;
  const std::vector<int64_t> rows = order(n, 5, 0);
  int64_t ascents = 0;
  for (size_t i = 1; i < rows.size(); ++i) ascents += rows[i] > rows[i - 1];
  EXPECT_NEAR(static_cast<double>(ascents), n / 2, 6 * std::sqrt(n / 12.0));
}

TEST(Sampler, ReadsAnyPartOfAnEpoch) {
  const Sampler sampler({10, 20, 30, 40, 50}, 3);
  std::vector<int64_t> whole(5), tail(2);
  sampler.read(1, 0, whole);
  sampler.read(1, 3, tail);
  EXPECT_EQ(std::vector<int64_t>(whole.begin() + 3, whole.end()), tail);
  EXPECT_EQ(std::set<int64_t>(whole.begin(), whole.end()), (std::set<int64_t>{10, 20, 30, 40, 50}));
}

}  // namespace
}  // namespace tandem
