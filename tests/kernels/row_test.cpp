#include "kernels/cpu/simd/row.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu::simd {
namespace {

template <class T>
class Rows : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(Rows, Types);

TYPED_TEST(Rows, RangesLookOverNaN) {
  using T = TypeParam;
  const T infinity = std::numeric_limits<T>::infinity();
  std::mt19937 random(1);
  std::normal_distribution<T> normal;
  for (int64_t n = 0; n < 150; ++n)
    for (const unsigned kind : {0u, 1u, 2u}) {  // numbers, some of them, none
      const tandem::test::GuardedMemory memory(static_cast<size_t>(n) * sizeof(T));
      T* x = reinterpret_cast<T*>(memory.bytes().data());
      T lowest = infinity, highest = -infinity;
      for (int64_t i = 0; i < n; ++i) {
        const bool is_number = kind == 0 || (kind == 1 && random() % 3 == 0);
        x[i] = is_number ? normal(random) + 3 : std::numeric_limits<T>::quiet_NaN();
        if (is_number) lowest = std::min(lowest, x[i]), highest = std::max(highest, x[i]);
      }
      const Range<T> range = row_ops<T>().range(x, n);
      ASSERT_EQ(range.lowest, lowest) << n << ' ' << kind;
      ASSERT_EQ(range.highest, highest) << n << ' ' << kind;
    }
}

// Of exponentials, too: what -inf hides is as if it were not there.
TEST(Row, ZerosBehindTheLastNumberDoNotChangeASum) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  constexpr int64_t kAll = 256;
  for (int64_t n = 0; n < kAll; ++n) {
    std::vector<float> x(kAll, 0), hidden(kAll, -std::numeric_limits<float>::infinity()), y(kAll);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) x[i] = hidden[i] = normal(random);
    const RowOps<float>& row = row_ops<float>();
    for (int64_t m : {n + 1, n + 17, n + 64, kAll}) {
      m = std::min(m, kAll);
      ASSERT_EQ(row.sum(x.data(), n), row.sum(x.data(), m)) << n << ' ' << m;
      ASSERT_EQ(row.sum_exp(hidden.data(), n, 1), row.sum_exp(hidden.data(), m, 1)) << n << ' ' << m;
      ASSERT_EQ(row.exp(hidden.data(), y.data(), n, 1), row.exp(hidden.data(), y.data(), m, 1)) << n << ' ' << m;
    }
  }
}

}  // namespace
}  // namespace tandem::cpu::simd
