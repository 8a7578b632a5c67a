// Compiled once per instruction set by Highway's foreach_target; see bf16_rows.h for the contract.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/bf16_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/simd/bf16_rows.h"
#include "kernels/cpu/simd/part-inl.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Words = hn::ScalableTag<uint32_t>;
using Halves = hn::Rebind<uint16_t, Words>;
using Ranks = hn::ScalableTag<int16_t>;
using Magnitudes = hn::RebindToUnsigned<Ranks>;

// Half of what is cut off is added, a little less where the last bit that stays is even. NaN stays one.
HWY_INLINE hn::Vec<Words> rounded(hn::Vec<Words> bits) {
  const Words d;
  const auto upper = hn::ShiftRight<16>(bits), odd = hn::And(upper, hn::Set(d, 1));
  const auto nearest = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d, 0x7FFF))));
  const auto is_nan = hn::Gt(hn::And(bits, hn::Set(d, 0x7FFFFFFF)), hn::Set(d, 0x7F800000));
  return hn::IfThenElse(is_nan, hn::Or(upper, hn::Set(d, 0x40)), nearest);
}

void narrow(const float* x, BF16* y, int64_t n) {
  const Words d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(hn::TruncateTo(Halves(), rounded(hn::LoadU(d, reinterpret_cast<const uint32_t*>(x + i)))), Halves(),
               reinterpret_cast<uint16_t*>(y + i));
  for (; i < n; ++i) y[i] = to_bf16(x[i]);
}

void widen(const BF16* x, float* y, int64_t n) {
  const Words d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(hn::ShiftLeft<16>(hn::PromoteTo(d, hn::LoadU(Halves(), reinterpret_cast<const uint16_t*>(x + i)))), d,
               reinterpret_cast<uint32_t*>(y + i));
  for (; i < n; ++i) y[i] = to_float(x[i]);
}

// Among numbers with a sign the largest whole number is the largest bits where one of them is positive; else all are negative, and the least magnitude
// counts. Negative NaNs are the largest magnitudes, and come back without their sign, as if they were positive.
void max(const BF16* const* rows, int64_t count, BF16* y, int64_t n) {
  const Ranks d;
  const Magnitudes m;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < n; i += lanes) {
    const int64_t part = std::min(lanes, n - i);
    const auto bits_of = [&](int64_t r) HWY_ATTR { return load_lanes(d, reinterpret_cast<const int16_t*>(rows[r] + i), part); };
    auto most = bits_of(0);
    auto least = hn::BitCast(m, most), largest = least;
    for (int64_t r = 1; r < count; ++r) {
      const auto bits = bits_of(r);
      most = hn::Max(most, bits);
      least = hn::Min(least, hn::BitCast(m, bits)), largest = hn::Max(largest, hn::BitCast(m, bits));
    }
    const auto number = hn::IfNegativeThenElse(most, hn::BitCast(d, least), most);
    // One that is none is the least of all whole numbers.
    const auto nan = hn::BitCast(d, hn::IfThenElse(hn::Gt(largest, hn::Set(m, 0xFF80)), hn::And(largest, hn::Set(m, 0x7FFF)), hn::Set(m, 0x8000)));
    store_lanes(d, hn::Max(number, nan), reinterpret_cast<int16_t*>(y + i), part);
  }
}

void sum(const BF16* x, int64_t stride, int64_t rows, float* sums, int64_t n) {
  const Words d;
  const hn::ScalableTag<float> floats;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto total = hn::Zero(floats);
    for (int64_t r = 0; r < rows; ++r) {
      const auto bits = hn::PromoteTo(d, hn::LoadU(Halves(), reinterpret_cast<const uint16_t*>(x + r * stride + i)));
      total = hn::Add(total, hn::BitCast(floats, hn::ShiftLeft<16>(bits)));
    }
    hn::StoreU(total, floats, sums + i);
  }
  for (; i < n; ++i) {
    sums[i] = 0;
    for (int64_t r = 0; r < rows; ++r) sums[i] += to_float(x[r * stride + i]);
  }
}

const Bf16RowOps* table() {
  static constexpr Bf16RowOps kTable = {narrow, widen, max, sum};
  return &kTable;
}

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {
HWY_EXPORT(table);

const Bf16RowOps& bf16_row_ops() {
  choose_targets();
  return *HWY_DYNAMIC_DISPATCH(table)();
}

}  // namespace tandem::cpu::simd
#endif
