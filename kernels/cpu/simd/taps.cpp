// Compiled once per instruction set by Highway's foreach_target; see taps.h for the contract. Four vectors of the result stay in registers
// while the rows pass.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/taps.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/simd/part-inl.h"
#include "kernels/cpu/simd/targets.h"
#include "kernels/cpu/simd/taps.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// out = finish(fold(... fold(row 0, row 1) ..., last row)).
template <class T, class Fold, class Finish>
HWY_INLINE void fold_rows(const T* const* rows, int64_t count, int64_t n, T* out, Fold fold, Finish finish) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const T* row = rows[0] + i;
    auto a = hn::LoadU(d, row), b = hn::LoadU(d, row + lanes), c = hn::LoadU(d, row + 2 * lanes), e = hn::LoadU(d, row + 3 * lanes);
    for (int64_t r = 1; r < count; ++r) {
      row = rows[r] + i;
      a = fold(a, hn::LoadU(d, row)), b = fold(b, hn::LoadU(d, row + lanes));
      c = fold(c, hn::LoadU(d, row + 2 * lanes)), e = fold(e, hn::LoadU(d, row + 3 * lanes));
    }
    hn::StoreU(finish(a), d, out + i), hn::StoreU(finish(b), d, out + i + lanes);
    hn::StoreU(finish(c), d, out + i + 2 * lanes), hn::StoreU(finish(e), d, out + i + 3 * lanes);
  }
  for (; i < n; i += lanes) {
    const int64_t some = std::min(lanes, n - i);
    auto a = load_lanes(d, rows[0] + i, some);
    for (int64_t r = 1; r < count; ++r) a = fold(a, load_lanes(d, rows[r] + i, some));
    store_lanes(d, finish(a), out + i, some);
  }
}

void max_f32(const float* const* rows, int64_t count, int64_t n, float* out) {
  // Stays if it is not smaller, or a NaN (against which nothing is >=).
  const auto larger = [](auto best, auto v) HWY_ATTR { return hn::IfThenElse(hn::Or(hn::Ge(best, v), hn::IsNaN(best)), best, v); };
  fold_rows(rows, count, n, out, larger, [](auto v) HWY_ATTR { return v; });
}

template <class T>
void max_bytes(const T* const* rows, int64_t count, int64_t n, T* out) {
  fold_rows(rows, count, n, out, [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); }, [](auto v) HWY_ATTR { return v; });
}

void sum_f32(const float* const* rows, int64_t count, int64_t n, float scale, float* out) {
  const auto scales = hn::Set(hn::ScalableTag<float>(), scale);
  fold_rows(rows, count, n, out, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); }, [=](auto v) HWY_ATTR { return hn::Mul(v, scales); });
}

constexpr TapOps kTapOps = {.max_f32 = max_f32, .max_u8 = max_bytes<uint8_t>, .max_i8 = max_bytes<int8_t>, .sum_f32 = sum_f32};

const TapOps* best_tap_ops() { return &kTapOps; }

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(best_tap_ops);

const TapOps& tap_ops() {
  choose_targets();
  return *HWY_DYNAMIC_DISPATCH(best_tap_ops)();
}

}  // namespace tandem::cpu::simd
#endif
