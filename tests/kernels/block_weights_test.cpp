// Products with weights of few bits beside sums in double, from one row to more than are multiplied without restoring the weights, with every
// operand in front of an unmapped page.
#include "kernels/api/block_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

#include "kernels/base/checked.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded, test::GuardedMemory;

enum class Zeros { kNone, kPacked, kFloats };

Guarded<uint8_t> bytes(int64_t n, uint32_t seed) {
  Guarded<uint8_t> all(n);
  std::mt19937 random(seed);
  for (int64_t i = 0; i < n; ++i) all.data()[i] = static_cast<uint8_t>(random() & 255);
  return all;
}

template <class T>
ConstTensorView view(const Guarded<T>& values, const Shape& shape) {
  return {reinterpret_cast<const std::byte*>(values.data()), dtype_of<T>, shape};
}

// Number `i` of those packed from byte `first` on.
double field(const Guarded<uint8_t>& from, int64_t first, int64_t i, int64_t bits) {
  return static_cast<double>((from[first + i * bits / 8] >> (i * bits % 8)) & ((1 << bits) - 1));
}

struct Weights {
  BlockWeights w;
  Zeros zeros;
  Guarded<uint8_t> q, packed_zeros;
  Guarded<float> scale, float_zeros;

  Weights(int64_t n, int64_t k, int64_t bits, int64_t block, Zeros kind)
      : w{.n = n, .k = k, .bits = bits, .block_size = block},
        zeros(kind),
        q(bytes(n * w.blocks() * block * bits / 8, 1)),
        packed_zeros(bytes(n * ceil_div(w.blocks() * bits, 8), 2)),
        scale(Guarded<float>::random(n * w.blocks(), 3)),
        float_zeros(Guarded<float>::random(n * w.blocks(), 4)) {
    w.q = view(q, {n, w.blocks(), block * bits / 8}), w.scale = view(scale, {n * w.blocks()});
    if (zeros == Zeros::kPacked) w.zero = view(packed_zeros, {packed_zeros.size()});
    if (zeros == Zeros::kFloats) w.zero = view(float_zeros, {n * w.blocks()});
  }

  double weight(int64_t column, int64_t p) const {
    const int64_t block = p / w.block_size, at = column * w.blocks() + block;
    double zero = 1 << (w.bits - 1);
    if (zeros == Zeros::kPacked) zero = field(packed_zeros, column * ceil_div(w.blocks() * w.bits, 8), block, w.bits);
    if (zeros == Zeros::kFloats) zero = double(float_zeros[at]);
    return (field(q, at * w.block_size * w.bits / 8, p % w.block_size, w.bits) - zero) * double(scale[at]);
  }
};

void expect_product(const Weights& weights, int64_t m, bool biased, int threads) {
  const BlockWeights& w = weights.w;
  const Guarded<float> a = Guarded<float>::random(m * w.k, 5), bias = Guarded<float>::random(w.n, 6), y(m * w.n);
  const GuardedMemory workspace(block_matmul_workspace_bytes(w, m, threads));
  block_matmul({.threads = threads, .workspace = workspace.bytes()}, view(a, {m, w.k}), w, biased ? view(bias, {w.n}) : ConstTensorView{},
               {reinterpret_cast<std::byte*>(y.data()), DType::kF32, {m, w.n}});
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < w.n; ++j) {
      double sum = biased ? double(bias[j]) : 0, size = 1;
      for (int64_t p = 0; p < w.k; ++p) {
        const double term = double(a[i * w.k + p]) * weights.weight(j, p);
        sum += term, size += std::abs(term);
      }
      ASSERT_NEAR(double(y[i * w.n + j]), sum, 2e-6 * size)
          << m << " rows, " << w.bits << " bits, blocks of " << w.block_size << ", k " << w.k << ", element " << i << ", " << j;
    }
}

class BlockProducts : public testing::TestWithParam<std::tuple<int64_t, Zeros>> {};
INSTANTIATE_TEST_SUITE_P(All, BlockProducts,
                         testing::Combine(testing::Values<int64_t>(2, 4, 8), testing::Values(Zeros::kNone, Zeros::kPacked, Zeros::kFloats)));

TEST_P(BlockProducts, EqualTheFormula) {
  const auto [bits, zeros] = GetParam();
  for (const int64_t block : {16, 32, 64, 128, 256})
    for (const int64_t k : {1, 16, 33, 128, 200, 384, 640}) {
      const Weights weights(5, k, bits, block, zeros);
      for (const int64_t m : {1, 2, 3, 5, 8, 9}) {
        expect_product(weights, m, m % 2 == 0, 1);
        if (HasFatalFailure()) return;
      }
    }
}

TEST_P(BlockProducts, AreSharedByThreads) {
  const auto [bits, zeros] = GetParam();
  expect_product(Weights(600, 512, bits, 32, zeros), 2, true, 3);
}

std::vector<float> product_of(const Weights& weights, const std::vector<float>& a) {
  const BlockWeights& w = weights.w;
  const auto m = static_cast<int64_t>(a.size()) / w.k;
  std::vector<float> y(static_cast<size_t>(m * w.n));
  const GuardedMemory workspace(block_matmul_workspace_bytes(w, m, 1));
  block_matmul({.threads = 1, .workspace = workspace.bytes()}, {reinterpret_cast<const std::byte*>(a.data()), DType::kF32, {m, w.k}}, w, {},
               {reinterpret_cast<std::byte*>(y.data()), DType::kF32, {m, w.n}});
  return y;
}

std::vector<float> random_rows(int64_t rows, int64_t k) {
  const Guarded<float> values = Guarded<float>::random(rows * k, 7);
  return {values.data(), values.data() + rows * k};
}

TEST_P(BlockProducts, OfFewRowsAreThoseOfEachRow) {
  const auto [bits, zeros] = GetParam();
  const Weights weights(21, 200, bits, 32, zeros);
  const std::vector<float> rows = random_rows(8, 200);
  for (const int64_t m : {2, 3, 4, 5, 8}) {
    const std::vector<float> together = product_of(weights, {rows.begin(), rows.begin() + m * 200});
    for (int64_t r = 0; r < m; ++r) {
      const std::vector<float> alone = product_of(weights, {rows.begin() + r * 200, rows.begin() + (r + 1) * 200});
      for (int64_t j = 0; j < 21; ++j)
        ASSERT_EQ(together[static_cast<size_t>(r * 21 + j)], alone[static_cast<size_t>(j)]) << m << " rows, row " << r << ", column " << j;
    }
  }
}

// Powers of two change no digit of a number.
TEST_P(BlockProducts, KeepSmallAndLargeNumbersApart) {
  const auto [bits, zeros] = GetParam();
  const Weights weights(5, 64, bits, 32, zeros);
  const std::vector<float> row = random_rows(1, 64), y = product_of(weights, row);
  for (const float factor : {0x1p-80f, 0x1p90f}) {
    std::vector<float> scaled = row;
    for (float& x : scaled) x *= factor;
    const std::vector<float> of_scaled = product_of(weights, scaled);
    for (size_t j = 0; j < 5; ++j) EXPECT_EQ(of_scaled[j], y[j] * factor) << factor;
  }
  std::vector<float> small(64, 0.0f);
  for (size_t i = 0; i < 32; ++i) small[i] = row[i] * 0x1p-40f;
  const std::vector<float> of_small = product_of(weights, small);
  for (int64_t j = 0; j < 5; ++j) {
    double sum = 0, size = 0;
    for (int64_t p = 0; p < 32; ++p) {
      const double term = double(small[static_cast<size_t>(p)]) * weights.weight(j, p);
      sum += term, size += std::abs(term);
    }
    EXPECT_NEAR(double(of_small[static_cast<size_t>(j)]), sum, 4e-6 * size);
  }
}

TEST_P(BlockProducts, OfWhatIsNotFiniteAreNot) {
  const auto [bits, zeros] = GetParam();
  const Weights weights(5, 64, bits, 32, zeros);
  for (const float odd : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> row = random_rows(1, 64);
    row[37] = odd;
    for (const float y : product_of(weights, row)) EXPECT_FALSE(std::isfinite(y)) << odd;
  }
  for (const float y : product_of(weights, std::vector<float>(64, 0.0f))) EXPECT_EQ(y, 0.0f);
}

// The workspace of a plan serves fewer rows.
TEST(BlockProductWorkspace, GrowsWithRows) {
  const BlockWeights w{.n = 64, .k = 300, .bits = 4, .block_size = 32};
  for (int64_t m = 2; m < 20; ++m) EXPECT_LE(block_matmul_workspace_bytes(w, m - 1, 2), block_matmul_workspace_bytes(w, m, 2)) << m;
}

}  // namespace
}  // namespace tandem::cpu
