// A long tensor that grows by little is copied past the caches: at any alignment, of every size of elements, in front of an unmapped page.
#include <gtest/gtest.h>

#include "kernels/api/movement.h"
#include "kernels/cpu/stream_copy.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded;

template <class T>
void expect_joined(int64_t outer, int64_t past, int64_t fresh, int64_t inner, int threads) {
  const Guarded<T> a(outer * past * inner), b(outer * fresh * inner), y(outer * (past + fresh) * inner, T(1));
  for (int64_t i = 0; i < a.size(); ++i) a.data()[i] = static_cast<T>(i * 7 % 251);
  for (int64_t i = 0; i < b.size(); ++i) b.data()[i] = static_cast<T>(i * 5 % 241);
  const auto view = [&](const Guarded<T>& x, int64_t length) {
    return TensorView{reinterpret_cast<std::byte*>(x.data()), dtype_of<T>, {outer, length, inner}};
  };
  const ConstTensorView inputs[] = {view(a, past), view(b, fresh)};
  concat({.threads = threads}, inputs, 1, view(y, past + fresh));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < (past + fresh) * inner; ++i) {
      const T expected = i < past * inner ? a[o * past * inner + i] : b[o * fresh * inner + i - past * inner];
      ASSERT_EQ(y[(o * (past + fresh)) * inner + i], expected) << "row " << o << ", element " << i;
    }
}

TEST(Concat, OfLongAndLittle) {
  for (const int threads : {1, 3}) {
    expect_joined<float>(12, 512, 1, 64, threads);
    expect_joined<float>(12, 2048, 1, 64, threads);
    expect_joined<float>(3, 100003, 1, 1, threads);
    expect_joined<uint8_t>(7, 200001, 3, 1, threads);
    expect_joined<double>(1, 70001, 2, 3, threads);
    expect_joined<float>(12, 1, 512, 64, threads);
  }
}

TEST(StreamCopy, AtEveryAlignment) {
  for (int64_t n : {0, 1, 63, 64, 65, 300})
    for (int64_t from = 0; from < 20; ++from)
      for (int64_t to = 0; to < 70; to += 3) {
        const Guarded<uint8_t> source(from + n), target(to + n, 9);
        for (int64_t i = 0; i < source.size(); ++i) source.data()[i] = static_cast<uint8_t>(i + 1);
        stream_copy(reinterpret_cast<std::byte*>(target.data()) + to, reinterpret_cast<const std::byte*>(source.data()) + from, static_cast<size_t>(n));
        for (int64_t i = 0; i < to + n; ++i) ASSERT_EQ(target[i], i < to ? 9 : static_cast<uint8_t>(from + i - to + 1)) << n << ", " << from << ", " << to;
      }
}

}  // namespace
}  // namespace tandem::cpu
