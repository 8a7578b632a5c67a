// Random numbers: their moments and shares, and that they depend on stream and place alone.
#include "kernels/api/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace tandem {
namespace {

constexpr int64_t kMany = 400'000;

template <class T>
TensorView view_of(std::vector<T>& values, Shape shape) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, shape};
}

template <class T>
std::vector<T> uniform(RandomStream stream, int64_t n, int threads = 1) {
  std::vector<T> y(static_cast<size_t>(n));
  cpu::random_uniform({.threads = threads}, stream, -1, 3, view_of(y, {n}));
  return y;
}
template <class T>
std::vector<T> normal(RandomStream stream, int64_t n, int threads = 1) {
  std::vector<T> y(static_cast<size_t>(n));
  cpu::random_normal({.threads = threads}, stream, 2, 0.5, view_of(y, {n}));
  return y;
}

template <class T>
void expect_moments(const std::vector<T>& y, double mean, double deviation) {
  const double n = static_cast<double>(y.size());
  const double average = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double square = 0, neighbours = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    square += (y[i] - average) * (y[i] - average);
    neighbours += (y[i] - average) * (y[(i + 1) % y.size()] - average);
  }
  EXPECT_NEAR(average, mean, 5 * deviation / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(square / n), deviation, 0.01 * deviation);
  EXPECT_NEAR(neighbours / square, 0, 5 / std::sqrt(n));
}

TEST(Random, HasTheMomentsAskedFor) {
  expect_moments(uniform<float>({1, 0}, kMany), 1, 4 / std::sqrt(12.0));
  expect_moments(uniform<double>({2, 5}, kMany), 1, 4 / std::sqrt(12.0));
  expect_moments(normal<float>({3, 0}, kMany), 2, 0.5);
  expect_moments(normal<double>({4, 1}, kMany), 2, 0.5);
  const std::vector<double> y = normal<double>({3, 0}, kMany);
  const auto beyond = std::ranges::count_if(y, [](double v) { return std::fabs(v - 2) > 1; });  // two deviations: 4.55%
  EXPECT_NEAR(static_cast<double>(beyond) / kMany, 0.0455, 0.002);
  const auto [low, high] = std::ranges::minmax(uniform<float>({1, 0}, kMany));
  EXPECT_GE(low, -1);
  EXPECT_LE(high, 3);
}

TEST(Random, DependsOnStreamAndPlaceAlone) {
  EXPECT_EQ(uniform<float>({1, 0}, kMany), uniform<float>({1, 0}, kMany, 3));
  EXPECT_EQ(normal<double>({1, 0}, kMany), normal<double>({1, 0}, kMany, 2));
  EXPECT_NE(uniform<float>({1, 0}, 8), uniform<float>({1, 1}, 8));
  EXPECT_NE(uniform<float>({1, 0}, 8), uniform<float>({2, 0}, 8));
  const std::vector<float> few = uniform<float>({1, 0}, 7), more = uniform<float>({1, 0}, 100);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), more.begin()));
}

TEST(Random, DrawsClassesByTheirWeights) {
  std::vector<float> x;
  for (double weight : {1.0, 4.0, 3.0, 2.0}) x.push_back(static_cast<float>(std::log(weight) + 50));
  std::vector<int32_t> y(static_cast<size_t>(kMany));
  cpu::multinomial({}, {9, 0}, view_of(x, {1, 4}), view_of(y, {1, kMany}));
  for (int32_t c = 0; c < 4; ++c)
    EXPECT_NEAR(static_cast<double>(std::ranges::count(y, c)) / kMany,
                std::exp(static_cast<double>(x[static_cast<size_t>(c)]) - 50) / 10, 0.004);
}

TEST(Random, DropsItsShareAndSaysWhere) {
  std::vector<float> x(static_cast<size_t>(kMany), 3.0f), y(x.size()), kept(x.size());
  cpu::dropout({.threads = 2}, {5, 0}, 0.25, view_of(x, {kMany}), view_of(y, {kMany}), view_of(kept, {kMany}));
  EXPECT_NEAR(std::accumulate(kept.begin(), kept.end(), 0.0) / kMany, 0.75, 0.004);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], kept[i] * 4) << i;
}

}  // namespace
}  // namespace tandem
