// f32 arithmetic on two operands, and clip, compiled by Highway for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/elementwise_f32.cpp"
#include <hwy/foreach_target.h>
// The order matters: foreach_target.h includes this file again.
#include <hwy/highway.h>

#include "kernels/cpu/simd/elementwise_f32.h"
#include "kernels/cpu/simd/functions_f32-inl.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {

struct Clip {
  float low, high;
  HWY_INLINE V operator()(V x) const { return keep_nan(x, hn::Min(hn::Max(x, constant(low)), constant(high))); }
};

struct Add { HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); } };
struct Sub { HWY_INLINE V operator()(V a, V b) const { return hn::Sub(a, b); } };
struct Mul { HWY_INLINE V operator()(V a, V b) const { return hn::Mul(a, b); } };
struct Div { HWY_INLINE V operator()(V a, V b) const { return hn::Div(a, b); } };
struct Min { HWY_INLINE V operator()(V a, V b) const { return keep_nan(a, keep_nan(b, hn::Min(a, b))); } };
struct Max { HWY_INLINE V operator()(V a, V b) const { return keep_nan(a, keep_nan(b, hn::Max(a, b))); } };

template <class F>
struct BindFirst { F f; V a; HWY_INLINE V operator()(V b) const { return f(a, b); } };
template <class F>
struct BindSecond { F f; V b; HWY_INLINE V operator()(V a) const { return f(a, b); } };

template <class F>
void map_strided(F f, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* y, int64_t n) {
  if (a_stride && b_stride) return map(f, a, b, y, n);
  if (b_stride) return map(BindFirst<F>{f, constant(*a)}, b, y, n);
  if (a_stride) return map(BindSecond<F>{f, constant(*b)}, a, y, n);
  HWY_ALIGN float value[hn::MaxLanes(d)];
  hn::Store(f(constant(*a), constant(*b)), d, value);
  for (int64_t i = 0; i < n; ++i) y[i] = value[0];
}

void Binary(BinaryOp op, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* y, int64_t n) {
  switch (op) {
    case BinaryOp::kAdd: return map_strided(Add{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kSub: return map_strided(Sub{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kMul: return map_strided(Mul{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kDiv: return map_strided(Div{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kMin: return map_strided(Min{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kMax: return map_strided(Max{}, a, a_stride, b, b_stride, y, n);
    default: break;  // the rest is in kernels/cpu/binary.cpp
  }
}

void ClipRow(const float* x, float low, float high, float* y, int64_t n) { map(Clip{low, high}, x, y, n); }

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(Binary);
HWY_EXPORT(ClipRow);

void binary(BinaryOp op, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* y, int64_t n) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(Binary)(op, a, a_stride, b, b_stride, y, n);
}

void clip(const float* x, float low, float high, float* y, int64_t n) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(ClipRow)(x, low, high, y, n);
}

}  // namespace tandem::cpu::simd
#endif  // HWY_ONCE
