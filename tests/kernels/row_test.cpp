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

}  // namespace
}  // namespace tandem::cpu::simd
