// Backward functions in f32: dx from dy and what the forward pass saved; compiled by Highway for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/unary_backward_f32.cpp"
#include <hwy/foreach_target.h>
// The order matters: foreach_target.h includes this file again.
#include <hwy/highway.h>

#include "kernels/cpu/simd/elementwise_f32.h"
#include "kernels/cpu/simd/functions_f32-inl.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {

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
struct GeluGrad {
  HWY_INLINE V operator()(V x, V dy) const {
    const Normal normal = normal_of(x);
    return hn::Mul(dy, hn::MulAdd(x, normal.density, normal.below));
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
struct HardSwishGrad {
  HWY_INLINE V operator()(V x, V dy) const {
    const V inside = hn::Mul(dy, hn::MulAdd(x, constant(1.0f / 3), constant(0.5f)));
    const V above = hn::IfThenElse(hn::Ge(x, constant(3.0f)), dy, inside);
    return hn::IfThenZeroElse(hn::Le(x, constant(-3.0f)), above);
  }
};
struct SwishGrad {  // s + alpha x s (1 - s)
  float alpha;
  HWY_INLINE V operator()(V x, V dy) const {
    const V ax = hn::Mul(x, constant(alpha)), s = sigmoid_of(ax);
    return hn::Mul(dy, hn::MulAdd(hn::Mul(ax, s), hn::Sub(constant(1.0f), s), s));
  }
};
struct MishGrad {  // t + x sigmoid(x) (1 - t^2)
  HWY_INLINE V operator()(V x, V dy) const {
    const V t = tanh_softplus_of(x);
    return hn::Mul(dy, hn::MulAdd(hn::Mul(x, sigmoid_of(x)), hn::NegMulAdd(t, t, constant(1.0f)), t));
  }
};

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
    case UnaryGradOp::kHardSwish: return map(HardSwishGrad{}, saved, dy, dx, n);
    case UnaryGradOp::kSwish: return map(SwishGrad{p.alpha}, saved, dy, dx, n);
    case UnaryGradOp::kMish: return map(MishGrad{}, saved, dy, dx, n);
  }
}

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(UnaryBackward);

void unary_backward(UnaryGradOp op, const float* saved, const float* dy, float* dx, int64_t n, UnaryParameters parameters) {
  choose_targets();
  HWY_DYNAMIC_DISPATCH(UnaryBackward)(op, saved, dy, dx, n, parameters);
}

}  // namespace tandem::cpu::simd
#endif  // HWY_ONCE
