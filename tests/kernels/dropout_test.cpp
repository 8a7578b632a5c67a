// The mask of random_dropout against the scalar generator, its share, and its independence of threads.
#include "kernels/api/dropout.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/base/philox.h"

namespace tandem {
namespace {

std::vector<float> dropped(const std::vector<float>& x, float ratio, uint64_t key, uint64_t counter, int threads = 1) {
  std::vector<float> y(x.size());
  const Shape shape{static_cast<int64_t>(x.size())};
  const auto step = static_cast<int64_t>(counter);
  cpu::random_dropout({.threads = threads}, {reinterpret_cast<const std::byte*>(x.data()), DType::kF32, shape},
                      {reinterpret_cast<std::byte*>(y.data()), DType::kF32, shape}, ratio, key,
                      {reinterpret_cast<const std::byte*>(&step), DType::kI64, {}});
  return y;
}

TEST(RandomDropout, FollowsPhiloxElementByElement) {
  const uint64_t key = dropout_key(42, 3), counter = (uint64_t{1} << 32) + 7;
  for (size_t n : {1, 3, 64, 1000}) {
    const std::vector<float> x(n, 3.0f), y = dropped(x, 0.25f, key, counter);
    for (size_t i = 0; i < n; ++i) {
      const float number = unit_float(philox(key, i / 4, counter)[i % 4]);
      ASSERT_FLOAT_EQ(y[i], number >= 0.25f ? 4.0f : 0.0f) << i;
    }
  }
}

TEST(RandomDropout, KeepsTheMean) {
  const std::vector<float> y = dropped(std::vector<float>(1'000'000, 1.0f), 0.4f, dropout_key(1, 0), 5);
  double sum = 0;
  int64_t zeros = 0;
  for (float v : y) {
    sum += v;
    zeros += v == 0;
  }
  EXPECT_NEAR(sum / 1e6, 1.0, 0.005);
  EXPECT_NEAR(static_cast<double>(zeros) / 1e6, 0.4, 0.003);
}

TEST(RandomDropout, DiffersBySiteAndStepButNotByThreads) {
  const std::vector<float> x(100'000, 1.0f), y = dropped(x, 0.5f, dropout_key(1, 0), 5);
  EXPECT_EQ(y, dropped(x, 0.5f, dropout_key(1, 0), 5, 3));
  EXPECT_NE(y, dropped(x, 0.5f, dropout_key(1, 1), 5));
  EXPECT_NE(y, dropped(x, 0.5f, dropout_key(1, 0), 6));
}

TEST(RandomDropout, RatioZeroIsTheIdentity) {
  const std::vector<float> x = {1, -2, 3};
  EXPECT_EQ(dropped(x, 0, 1, 1), x);
}

}  // namespace
}  // namespace tandem
