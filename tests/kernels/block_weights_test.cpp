// Products with weights of few bits beside sums in double, from one row to more than are multiplied without restoring the weights, with every
// operand in front of an unmapped page.
#include "kernels/api/block_weights.h"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

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
    for (const int64_t k : {1, 16, 33, 200, 640}) {
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

// The workspace of a plan serves fewer rows.
TEST(BlockProductWorkspace, GrowsWithRows) {
  const BlockWeights w{.n = 64, .k = 300, .bits = 4, .block_size = 32};
  for (int64_t m = 2; m < 20; ++m) EXPECT_LE(block_matmul_workspace_bytes(w, m - 1, 2), block_matmul_workspace_bytes(w, m, 2)) << m;
}

}  // namespace
}  // namespace tandem::cpu
