// f32 functions on one vector, and the loops that carry a function over contiguous memory. The last elements of a row go through a padded
// vector, so that an element's result does not depend on its place.
//
// exp, log, tanh, sin, cos stand on hwy/contrib/math (within 1 to 4 ULP in its stated ranges), mended here at the edges of the ranges
// (overflow, 0, NaN, angles over 39000). erf: two minimax polynomials fitted for Tandem, at most 2 ULP from the exact value.
//
// Included once per instruction set by the files that Highway compiles so; the guard is Highway's own pattern.
#if defined(TANDEM_KERNELS_CPU_SIMD_FUNCTIONS_F32_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TANDEM_KERNELS_CPU_SIMD_FUNCTIONS_F32_INL_H
#undef TANDEM_KERNELS_CPU_SIMD_FUNCTIONS_F32_INL_H
#else
#define TANDEM_KERNELS_CPU_SIMD_FUNCTIONS_F32_INL_H
#endif

#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

#include <cmath>
#include <cstring>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr D d;

HWY_INLINE V constant(float value) { return hn::Set(d, value); }
// NaN where x is NaN, else y.
HWY_INLINE V keep_nan(V x, V y) { return hn::IfThenElse(hn::Eq(x, x), y, x); }

HWY_INLINE V exp_of(V x) { return keep_nan(x, hn::Exp(d, hn::Min(x, constant(104.0f)))); }

HWY_INLINE V log_of(V x) {
  const V infinity = constant(std::numeric_limits<float>::infinity());
  V y = hn::Log(d, x);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), y);
  y = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), constant(std::numeric_limits<float>::quiet_NaN()), y);
  return hn::IfThenElse(hn::Eq(x, infinity), x, keep_nan(x, y));
}

HWY_INLINE V sigmoid_of(V x) { return hn::Div(constant(1.0f), hn::Add(constant(1.0f), exp_of(hn::Neg(x)))); }
// tanh(log(1 + exp(x))) = n / (n + 2) with n = e (e + 2), e = exp(x); 1 from 20 on.
HWY_INLINE V tanh_softplus_of(V x) {
  const V e = exp_of(hn::Min(x, constant(20.0f))), n = hn::Mul(e, hn::Add(e, constant(2.0f)));
  return keep_nan(x, hn::Div(n, hn::Add(n, constant(2.0f))));
}
HWY_INLINE V tanh_of(V x) { return keep_nan(x, hn::Tanh(d, x)); }

// |x| < 0.9277: x + x * P(x^2). Above: 1 - exp(-Q(|x|)), Q fitted to -log(erfc) on [0.9277, 4.1]; erf(4.1) rounds to 1.
HWY_INLINE V erf_of(V x) {
  const V t = hn::Min(hn::Abs(x), constant(4.1f)), s = hn::Mul(x, x);
  V p = hn::MulAdd(constant(-0.00059642526f), s, constant(0.004988004f));
  p = hn::MulAdd(p, s, constant(-0.026763124f));
  p = hn::MulAdd(p, s, constant(0.11281721f));
  p = hn::MulAdd(p, s, constant(-0.37612486f));
  p = hn::MulAdd(p, s, constant(0.12837915f));
  const V small = hn::MulAdd(p, x, x);
  V q = hn::MulAdd(constant(2.1190242e-05f), t, constant(-0.000435564f));
  q = hn::MulAdd(q, t, constant(0.0041764043f));
  q = hn::MulAdd(q, t, constant(-0.025133507f));
  q = hn::MulAdd(q, t, constant(0.108301885f));
  q = hn::MulAdd(q, t, constant(0.63332707f));
  q = hn::MulAdd(q, t, constant(1.1295247f));
  q = hn::MulAdd(q, t, constant(-0.00017673061f));
  const V large = hn::CopySign(hn::Sub(constant(1.0f), hn::Exp(d, hn::Neg(q))), x);
  return keep_nan(x, hn::IfThenElse(hn::Lt(hn::Abs(x), constant(0.9277f)), small, large));
}

// The normal distribution: its density at x, and what of it lies below x.
struct Normal {
  V density, below;
};

// One exponential for both. The density is 2^n 2^f / sqrt(2 pi), n + f = -log2(e) x^2 / 2 with f within 1/2, and 2^f a polynomial. What lies beyond
// t = |x| is the density times Mills' ratio, P((t - 3) / (t + 3)) / (t + 3). Both polynomials were fitted for Tandem, the ratio to 4e-8 of itself up to
// t = 13, from where on the density is 0. The smaller side is within (8 + x^2) 2^-24 of itself. Of a NaN both may be numbers: multiply by x.
HWY_INLINE Normal normal_of(V x) {
  const hn::RebindToSigned<D> whole;
  const V t = hn::Min(hn::Abs(x), constant(13.0f));
  const V scaled = hn::Mul(t, constant(-0.72134752f)), n = hn::Round(hn::Mul(scaled, t)), f = hn::MulSub(scaled, t, n);
  V p = hn::MulAdd(constant(6.12209333e-05f), f, constant(0.000534579915f));
  p = hn::MulAdd(p, f, constant(0.003837222f));
  p = hn::MulAdd(p, f, constant(0.0221426077f));
  p = hn::MulAdd(p, f, constant(0.0958364978f));
  p = hn::MulAdd(p, f, constant(0.276525736f));
  p = hn::MulAdd(p, f, constant(0.398942292f));
  const V power = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(whole, n), hn::Set(whole, 127))));
  const V density = hn::IfThenElseZero(hn::Lt(t, constant(13.0f)), hn::Mul(p, power));
  const V u = hn::Div(constant(1.0f), hn::Add(t, constant(3.0f))), z = hn::MulAdd(constant(-6.0f), u, constant(1.0f));
  V m = hn::MulAdd(constant(-0.000688282773f), z, constant(-0.00229379907f));
  m = hn::MulAdd(m, z, constant(0.00270202104f));
  m = hn::MulAdd(m, z, constant(0.01737573f));
  m = hn::MulAdd(m, z, constant(-0.0262676254f));
  m = hn::MulAdd(m, z, constant(-0.118457459f));
  m = hn::MulAdd(m, z, constant(0.576572657f));
  m = hn::MulAdd(m, z, constant(-1.27670646f));
  m = hn::MulAdd(m, z, constant(1.82754171f));
  const V beyond = hn::Mul(density, hn::Mul(u, m));
  return {density, hn::IfThenElse(hn::Lt(x, hn::Zero(d)), beyond, hn::Sub(constant(1.0f), beyond))};
}

// Lanes outside the range of Highway's reduction go to the C++ library one by one.
template <float (*scalar)(float)>
V mend_angles(V x, V y) {
  const auto inside = hn::Le(hn::Abs(x), constant(39000.0f));
  if (hn::AllTrue(d, inside)) return y;
  HWY_ALIGN float xs[hn::MaxLanes(d)], ys[hn::MaxLanes(d)];
  hn::Store(x, d, xs);
  hn::Store(y, d, ys);
  for (size_t i = 0; i < hn::Lanes(d); ++i)
    if (!(std::fabs(xs[i]) <= 39000.0f)) ys[i] = scalar(xs[i]);
  return hn::Load(d, ys);
}

HWY_INLINE V gelu_angle(V x) {
  return hn::Mul(constant(0.79788456f), hn::MulAdd(hn::Mul(constant(0.044715f), hn::Mul(x, x)), x, x));
}

template <class F>
void map(F f, const float* x, float* y, int64_t n) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, x + i)), d, y + i);
  if (i == n) return;
  HWY_ALIGN float last[hn::MaxLanes(d)] = {};
  const size_t bytes = static_cast<size_t>(n - i) * sizeof(float);
  std::memcpy(last, x + i, bytes);
  hn::Store(f(hn::Load(d, last)), d, last);
  std::memcpy(y + i, last, bytes);
}

template <class F>
void map(F f, const float* a, const float* b, float* y, int64_t n) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  if (i == n) return;
  HWY_ALIGN float last_a[hn::MaxLanes(d)] = {}, last_b[hn::MaxLanes(d)] = {};
  const size_t bytes = static_cast<size_t>(n - i) * sizeof(float);
  std::memcpy(last_a, a + i, bytes);
  std::memcpy(last_b, b + i, bytes);
  hn::Store(f(hn::Load(d, last_a), hn::Load(d, last_b)), d, last_a);
  std::memcpy(y + i, last_a, bytes);
}

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
