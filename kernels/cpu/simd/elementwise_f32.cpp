// Google Highway compiles this file once for each target below; the last elements of a row go through a padded vector, so that an
// element's result does not depend on its place.
//
// exp, log, tanh, sin, cos stand on hwy/contrib/math (within 1 to 4 ULP in its stated ranges), mended here at the edges of the ranges
// (overflow, 0, NaN, angles over 39000). erf: two minimax polynomials fitted for Tandem, at most 2 ULP from the exact value.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/elementwise_f32.cpp"
#include <hwy/foreach_target.h>
// The order matters: foreach_target.h includes this file again.
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/simd/elementwise_f32.h"
#include "kernels/cpu/simd/targets.h"

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

struct Abs { HWY_INLINE V operator()(V x) const { return hn::Abs(x); } };
struct Neg { HWY_INLINE V operator()(V x) const { return hn::Neg(x); } };
struct Exp { HWY_INLINE V operator()(V x) const { return exp_of(x); } };
struct Log { HWY_INLINE V operator()(V x) const { return log_of(x); } };
struct Sqrt { HWY_INLINE V operator()(V x) const { return hn::Sqrt(x); } };
struct Reciprocal { HWY_INLINE V operator()(V x) const { return hn::Div(constant(1.0f), x); } };
struct Relu { HWY_INLINE V operator()(V x) const { return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x); } };
struct Sigmoid { HWY_INLINE V operator()(V x) const { return sigmoid_of(x); } };
struct Tanh { HWY_INLINE V operator()(V x) const { return tanh_of(x); } };
struct Erf { HWY_INLINE V operator()(V x) const { return erf_of(x); } };
struct Sin { HWY_INLINE V operator()(V x) const { return mend_angles<std::sin>(x, hn::Sin(d, x)); } };
struct Cos { HWY_INLINE V operator()(V x) const { return mend_angles<std::cos>(x, hn::Cos(d, x)); } };
struct Floor { HWY_INLINE V operator()(V x) const { return hn::Floor(x); } };
struct Ceil { HWY_INLINE V operator()(V x) const { return hn::Ceil(x); } };
struct Round { HWY_INLINE V operator()(V x) const { return hn::Round(x); } };
struct Sign {
  HWY_INLINE V operator()(V x) const {
    return keep_nan(x, hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Zero(d), hn::CopySign(constant(1.0f), x)));
  }
};
// max(x, 0) + log(1 + exp(-|x|)) does not overflow.
struct Softplus {
  HWY_INLINE V operator()(V x) const {
    return keep_nan(x, hn::Add(hn::Max(x, hn::Zero(d)), hn::Log1p(d, exp_of(hn::Neg(hn::Abs(x))))));
  }
};
struct LeakyRelu {
  float alpha;
  HWY_INLINE V operator()(V x) const { return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(x, constant(alpha)), x); }
};
struct Elu {
  float alpha;
  HWY_INLINE V operator()(V x) const {
    const V low = hn::Mul(constant(alpha), hn::Expm1(d, hn::Min(x, hn::Zero(d))));
    return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), low, x);
  }
};
struct HardSigmoid {
  float alpha, beta;
  HWY_INLINE V operator()(V x) const {
    const V y = hn::MulAdd(x, constant(alpha), constant(beta));
    return keep_nan(x, hn::Min(hn::Max(y, hn::Zero(d)), constant(1.0f)));
  }
};
struct Gelu {
  HWY_INLINE V operator()(V x) const {
    const V half = hn::Mul(x, constant(0.5f));
    return hn::MulAdd(half, erf_of(hn::Mul(x, constant(0.70710678f))), half);
  }
};
HWY_INLINE V gelu_angle(V x) {
  return hn::Mul(constant(0.79788456f), hn::MulAdd(hn::Mul(constant(0.044715f), hn::Mul(x, x)), x, x));
}
struct GeluTanh {
  HWY_INLINE V operator()(V x) const {
    const V half = hn::Mul(x, constant(0.5f));
    return hn::MulAdd(half, tanh_of(gelu_angle(x)), half);
  }
};
struct Clip {
  float low, high;
  HWY_INLINE V operator()(V x) const { return keep_nan(x, hn::Min(hn::Max(x, constant(low)), constant(high))); }
};

struct ReluGrad {
  HWY_INLINE V operator()(V y, V dy) const { return hn::IfThenElseZero(hn::Gt(y, hn::Zero(d)), dy); }
};
struct SigmoidGrad {
  HWY_INLINE V operator()(V y, V dy) const { return hn::Mul(dy, hn::Mul(y, hn::Sub(constant(1.0f), y))); }
};
struct TanhGrad {
  HWY_INLINE V operator()(V y, V dy) const { return hn::Mul(dy, hn::NegMulAdd(y, y, constant(1.0f))); }
};
struct HardSigmoidGrad {
  float alpha;
  HWY_INLINE V operator()(V y, V dy) const {
    const auto inside = hn::And(hn::Gt(y, hn::Zero(d)), hn::Lt(y, constant(1.0f)));
    return hn::IfThenElseZero(inside, hn::Mul(dy, constant(alpha)));
  }
};
struct LeakyReluGrad {
  float alpha;
  HWY_INLINE V operator()(V x, V dy) const { return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(dy, constant(alpha)), dy); }
};
struct EluGrad {
  float alpha;
  HWY_INLINE V operator()(V x, V dy) const {
    const V low = hn::Mul(constant(alpha), exp_of(hn::Min(x, hn::Zero(d))));
    return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(dy, low), dy);
  }
};
struct ErfGrad {  // 2 / sqrt(pi) * exp(-x^2)
  HWY_INLINE V operator()(V x, V dy) const {
    return hn::Mul(dy, hn::Mul(constant(1.12837917f), exp_of(hn::Neg(hn::Mul(x, x)))));
  }
};
struct GeluGrad {  // Phi(x) + x * phi(x)
  HWY_INLINE V operator()(V x, V dy) const {
    const V half = constant(0.5f);
    const V cumulative = hn::MulAdd(half, erf_of(hn::Mul(x, constant(0.70710678f))), half);
    const V density = hn::Mul(constant(0.39894228f), exp_of(hn::Mul(hn::Neg(half), hn::Mul(x, x))));
    return hn::Mul(dy, hn::MulAdd(x, density, cumulative));
  }
};
struct GeluTanhGrad {
  HWY_INLINE V operator()(V x, V dy) const {
    const V half = constant(0.5f), t = tanh_of(gelu_angle(x));
    const V slope = hn::Mul(constant(0.79788456f), hn::MulAdd(constant(3 * 0.044715f), hn::Mul(x, x), constant(1.0f)));
    const V inner = hn::Mul(hn::Mul(hn::Mul(x, half), hn::NegMulAdd(t, t, constant(1.0f))), slope);
    return hn::Mul(dy, hn::Add(hn::MulAdd(half, t, half), inner));
  }
};
struct SoftplusGrad { HWY_INLINE V operator()(V x, V dy) const { return hn::Mul(dy, sigmoid_of(x)); } };

struct Add { HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); } };
struct Sub { HWY_INLINE V operator()(V a, V b) const { return hn::Sub(a, b); } };
struct Mul { HWY_INLINE V operator()(V a, V b) const { return hn::Mul(a, b); } };
struct Div { HWY_INLINE V operator()(V a, V b) const { return hn::Div(a, b); } };
struct Min { HWY_INLINE V operator()(V a, V b) const { return keep_nan(a, keep_nan(b, hn::Min(a, b))); } };
struct Max { HWY_INLINE V operator()(V a, V b) const { return keep_nan(a, keep_nan(b, hn::Max(a, b))); } };

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

void Unary(UnaryOp op, const float* x, float* y, int64_t n, UnaryParameters p) {
  switch (op) {
    case UnaryOp::kAbs: return map(Abs{}, x, y, n);
    case UnaryOp::kNeg: return map(Neg{}, x, y, n);
    case UnaryOp::kExp: return map(Exp{}, x, y, n);
    case UnaryOp::kLog: return map(Log{}, x, y, n);
    case UnaryOp::kSqrt: return map(Sqrt{}, x, y, n);
    case UnaryOp::kReciprocal: return map(Reciprocal{}, x, y, n);
    case UnaryOp::kRelu: return map(Relu{}, x, y, n);
    case UnaryOp::kSigmoid: return map(Sigmoid{}, x, y, n);
    case UnaryOp::kTanh: return map(Tanh{}, x, y, n);
    case UnaryOp::kErf: return map(Erf{}, x, y, n);
    case UnaryOp::kSoftplus: return map(Softplus{}, x, y, n);
    case UnaryOp::kSin: return map(Sin{}, x, y, n);
    case UnaryOp::kCos: return map(Cos{}, x, y, n);
    case UnaryOp::kFloor: return map(Floor{}, x, y, n);
    case UnaryOp::kCeil: return map(Ceil{}, x, y, n);
    case UnaryOp::kRound: return map(Round{}, x, y, n);
    case UnaryOp::kSign: return map(Sign{}, x, y, n);
    case UnaryOp::kLeakyRelu: return map(LeakyRelu{p.alpha}, x, y, n);
    case UnaryOp::kElu: return map(Elu{p.alpha}, x, y, n);
    case UnaryOp::kHardSigmoid: return map(HardSigmoid{p.alpha, p.beta}, x, y, n);
    case UnaryOp::kGelu: return map(Gelu{}, x, y, n);
    case UnaryOp::kGeluTanh: return map(GeluTanh{}, x, y, n);
  }
}

void UnaryBackward(UnaryGradOp op, const float* saved, const float* dy, float* dx, int64_t n, UnaryParameters p) {
  switch (op) {
    case UnaryGradOp::kRelu: return map(ReluGrad{}, saved, dy, dx, n);
    case UnaryGradOp::kSigmoid: return map(SigmoidGrad{}, saved, dy, dx, n);
    case UnaryGradOp::kTanh: return map(TanhGrad{}, saved, dy, dx, n);
    case UnaryGradOp::kHardSigmoid: return map(HardSigmoidGrad{p.alpha}, saved, dy, dx, n);
    case UnaryGradOp::kLeakyRelu: return map(LeakyReluGrad{p.alpha}, saved, dy, dx, n);
    case UnaryGradOp::kElu: return map(EluGrad{p.alpha}, saved, dy, dx, n);
    case UnaryGradOp::kErf: return map(ErfGrad{}, saved, dy, dx, n);
    case UnaryGradOp::kGelu: return map(GeluGrad{}, saved, dy, dx, n);
    case UnaryGradOp::kGeluTanh: return map(GeluTanhGrad{}, saved, dy, dx, n);
    case UnaryGradOp::kSoftplus: return map(SoftplusGrad{}, saved, dy, dx, n);
  }
}

void Binary(BinaryOp op, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* y, int64_t n) {
  switch (op) {
    case BinaryOp::kAdd: return map_strided(Add{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kSub: return map_strided(Sub{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kMul: return map_strided(Mul{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kDiv: return map_strided(Div{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kMin: return map_strided(Min{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kMax: return map_strided(Max{}, a, a_stride, b, b_stride, y, n);
    case BinaryOp::kMod: case BinaryOp::kFmod: break;
  }
}

void ClipRow(const float* x, float low, float high, float* y, int64_t n) { map(Clip{low, high}, x, y, n); }

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(Unary);
HWY_EXPORT(UnaryBackward);
HWY_EXPORT(Binary);
HWY_EXPORT(ClipRow);

void unary(UnaryOp op, const float* x, float* y, int64_t n, UnaryParameters parameters) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(Unary)(op, x, y, n, parameters);
}

void unary_backward(UnaryGradOp op, const float* saved, const float* dy, float* dx, int64_t n, UnaryParameters parameters) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(UnaryBackward)(op, saved, dy, dx, n, parameters);
}

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
