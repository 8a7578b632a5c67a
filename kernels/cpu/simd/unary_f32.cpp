// Functions of one f32 value, compiled by Highway for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/unary_f32.cpp"
#include <hwy/foreach_target.h>
// The order matters: foreach_target.h includes this file again.
#include <hwy/highway.h>

#include "kernels/cpu/simd/elementwise_f32.h"
#include "kernels/cpu/simd/functions_f32-inl.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {

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
struct Gelu { HWY_INLINE V operator()(V x) const { return hn::Mul(x, normal_of(x).below); } };
struct GeluTanh {
  HWY_INLINE V operator()(V x) const {
    const V half = hn::Mul(x, constant(0.5f));
    return hn::MulAdd(half, tanh_of(gelu_angle(x)), half);
  }
};
struct Softsign {
  HWY_INLINE V operator()(V x) const { return hn::Div(x, hn::Add(constant(1.0f), hn::Abs(x))); }
};
struct HardSwish {
  HWY_INLINE V operator()(V x) const {
    const V gate = hn::MulAdd(x, constant(1.0f / 6), constant(0.5f));
    return keep_nan(x, hn::Mul(x, hn::Min(hn::Max(gate, hn::Zero(d)), constant(1.0f))));
  }
};
struct Swish {
  float alpha;
  HWY_INLINE V operator()(V x) const { return hn::Mul(x, sigmoid_of(hn::Mul(x, constant(alpha)))); }
};
struct Mish { HWY_INLINE V operator()(V x) const { return hn::Mul(x, tanh_softplus_of(x)); } };
struct Selu {
  float alpha, gamma;
  HWY_INLINE V operator()(V x) const { return hn::Mul(Elu{alpha}(x), constant(gamma)); }
};
struct Celu {
  float alpha;
  HWY_INLINE V operator()(V x) const {
    const V scaled = hn::Min(hn::Div(x, constant(alpha)), constant(104.0f));
    const V low = hn::Min(hn::Mul(constant(alpha), hn::Expm1(d, scaled)), hn::Zero(d));
    return keep_nan(x, hn::Add(hn::Max(x, hn::Zero(d)), low));
  }
};
struct ThresholdedRelu {
  float alpha;
  HWY_INLINE V operator()(V x) const { return hn::IfThenZeroElse(hn::Le(x, constant(alpha)), x); }
};
struct Shrink {
  float lambda, bias;
  HWY_INLINE V operator()(V x) const {
    const V high = hn::IfThenElseZero(hn::Gt(x, constant(lambda)), hn::Sub(x, constant(bias)));
    return hn::IfThenElse(hn::Lt(x, constant(-lambda)), hn::Add(x, constant(bias)), high);
  }
};

struct Clip {
  float low, high;
  HWY_INLINE V operator()(V x) const { return keep_nan(x, hn::Min(hn::Max(x, constant(low)), constant(high))); }
};

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
    case UnaryOp::kSoftsign: return map(Softsign{}, x, y, n);
    case UnaryOp::kHardSwish: return map(HardSwish{}, x, y, n);
    case UnaryOp::kSwish: return map(Swish{p.alpha}, x, y, n);
    case UnaryOp::kMish: return map(Mish{}, x, y, n);
    case UnaryOp::kSelu: return map(Selu{p.alpha, p.beta}, x, y, n);
    case UnaryOp::kCelu: return map(Celu{p.alpha}, x, y, n);
    case UnaryOp::kThresholdedRelu: return map(ThresholdedRelu{p.alpha}, x, y, n);
    case UnaryOp::kShrink: return map(Shrink{p.alpha, p.beta}, x, y, n);
    case UnaryOp::kClip: return map(Clip{p.alpha, p.beta}, x, y, n);
    default: return;  // the C++ library's, in kernels/cpu/unary.cpp
  }
}

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(Unary);

void unary(UnaryOp op, const float* x, float* y, int64_t n, UnaryParameters parameters) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(Unary)(op, x, y, n, parameters);
}

}  // namespace tandem::cpu::simd
#endif  // HWY_ONCE
