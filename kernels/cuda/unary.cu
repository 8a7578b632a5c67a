// Functions of one value and their backward kernels, clip, predicates and scale: each reads every operand once and writes once
// (device/map.cuh). The C++ library's accurate functions, within a few ULP of the CPU's.
#include <limits>

#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/cuda/device/map.cuh"
#include "kernels/cuda/unary_functions.cuh"

namespace tandem::cuda {
namespace {

void require_one_shape(const ConstTensorView& x, const TensorView& y) {
  ensure(x.elements() == y.elements() && x.dtype == y.dtype, "elementwise operands differ", to_string(x.shape),
         to_string(y.shape));
}

template <class T, class R, class F>
void map(const KernelContext& context, F f, ConstTensorView x, TensorView y) {
  map_flat(context, f, y.as<R>().data(), y.elements(), x.as<T>().data());
}

// The ops that integers have too. Returns false for another op.
template <class T>
bool unary_number(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters p) {
  switch (op) {
    case UnaryOp::kAbs: map<T, T>(context, Abs(), x, y); return true;
    case UnaryOp::kNeg: map<T, T>(context, Neg(), x, y); return true;
    case UnaryOp::kRelu: map<T, T>(context, Relu(), x, y); return true;
    case UnaryOp::kSign: map<T, T>(context, Sign(), x, y); return true;
    case UnaryOp::kShrink: map<T, T>(context, Shrink{p.alpha, p.beta}, x, y); return true;
    case UnaryOp::kBitNot:
      if constexpr (std::is_integral_v<T>) map<T, T>(context, BitNot(), x, y);
      return std::is_integral_v<T>;
    default: return false;
  }
}

template <class T>
void unary_float(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters p) {
  const auto apply = [&](auto f) { map<T, T>(context, f, x, y); };
  switch (op) {
    case UnaryOp::kExp: return apply(Exp());
    case UnaryOp::kLog: return apply(Log());
    case UnaryOp::kSqrt: return apply(Sqrt());
    case UnaryOp::kReciprocal: return apply(Reciprocal());
    case UnaryOp::kSigmoid: return apply(Sigmoid());
    case UnaryOp::kTanh: return apply(Tanh());
    case UnaryOp::kErf: return apply(Erf());
    case UnaryOp::kSoftplus: return apply(Softplus());
    case UnaryOp::kFloor: return apply(Floor());
    case UnaryOp::kCeil: return apply(Ceil());
    case UnaryOp::kSin: return apply(Sin());
    case UnaryOp::kCos: return apply(Cos());
    case UnaryOp::kRound: return apply(Round());
    case UnaryOp::kLeakyRelu: return apply(LeakyRelu{p.alpha});
    case UnaryOp::kElu: return apply(Elu{p.alpha});
    case UnaryOp::kHardSigmoid: return apply(HardSigmoid{p.alpha, p.beta});
    case UnaryOp::kGelu: return apply(Gelu());
    case UnaryOp::kGeluTanh: return apply(GeluTanh());
    case UnaryOp::kAsin: return apply(Asin());
    case UnaryOp::kAcos: return apply(Acos());
    case UnaryOp::kAtan: return apply(Atan());
    case UnaryOp::kTan: return apply(Tan());
    case UnaryOp::kSinh: return apply(Sinh());
    case UnaryOp::kCosh: return apply(Cosh());
    case UnaryOp::kAsinh: return apply(Asinh());
    case UnaryOp::kAcosh: return apply(Acosh());
    case UnaryOp::kAtanh: return apply(Atanh());
    case UnaryOp::kSoftsign: return apply(Softsign());
    case UnaryOp::kHardSwish: return apply(HardSwish());
    case UnaryOp::kSwish: return apply(Swish{p.alpha});
    case UnaryOp::kMish: return apply(Mish());
    case UnaryOp::kSelu: return apply(Selu{p.alpha, p.beta});
    case UnaryOp::kCelu: return apply(Celu{p.alpha});
    case UnaryOp::kClip: return apply(Between{p.alpha, p.beta});
    case UnaryOp::kThresholdedRelu: return apply(ThresholdedRelu{p.alpha});
    default: require(unary_number<T>(context, op, x, y, p), "no kernel of this function for floats", name(x.dtype));
  }
}

template <class T>
void unary_backward_float(const KernelContext& context, UnaryGradOp op, ConstTensorView saved, ConstTensorView dy, TensorView dx,
                          UnaryParameters p) {
  const auto apply = [&](auto f) {
    map_flat(context, f, dx.as<T>().data(), dx.elements(), saved.as<T>().data(), dy.as<T>().data());
  };
  switch (op) {
    case UnaryGradOp::kRelu: return apply(ReluGrad());
    case UnaryGradOp::kSigmoid: return apply(SigmoidGrad());
    case UnaryGradOp::kTanh: return apply(TanhGrad());
    case UnaryGradOp::kHardSigmoid: return apply(HardSigmoidGrad{p.alpha});
    case UnaryGradOp::kLeakyRelu: return apply(LeakyReluGrad{p.alpha});
    case UnaryGradOp::kElu: return apply(EluGrad{p.alpha});
    case UnaryGradOp::kErf: return apply(ErfGrad());
    case UnaryGradOp::kGelu: return apply(GeluGrad());
    case UnaryGradOp::kGeluTanh: return apply(GeluTanhGrad());
    case UnaryGradOp::kSoftplus: return apply(SoftplusGrad());
    case UnaryGradOp::kHardSwish: return apply(HardSwishGrad());
    case UnaryGradOp::kSwish: return apply(SwishGrad{p.alpha});
    case UnaryGradOp::kMish: return apply(MishGrad());
  }
}

template <class T>
const T* scalar_or_null(const ConstTensorView& view) {
  if (!view) return nullptr;
  require(view.elements() == 1, "[Clip] a bound must be one element; its shape", to_string(view.shape));
  return view.as<T>().data();
}

// A bound on the device, or where that is null, one known here.
template <class T>
struct Bound {
  const T* place;
  Compute<T> known;
  __device__ Compute<T> value() const { return place ? widen(*place) : known; }
};

// Comparisons with NaN are false, so NaN stays.
template <class C>
struct Between {
  C low, high;
  __device__ C operator()(C x) const {
    const C raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
  __device__ C operator()(C x, C dy) const { return x >= low && x <= high ? dy : C(0); }
};
template <class T>
struct Clip {
  Bound<T> low, high;
  __device__ Between<Compute<T>> ready() const { return {low.value(), high.value()}; }
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
Bound<T> bound_at(const ConstTensorView& view, double otherwise) {
  return {scalar_or_null<T>(view), convert<Compute<T>>(otherwise)};
}

}  // namespace

void unary(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters parameters) {
  require_one_shape(x, y);
  if (is_float(x.dtype)) return cuda::visit_float(x.dtype, [&]<class T>() { unary_float<T>(context, op, x, y, parameters); });
  cuda::visit_number(x.dtype, [&]<class T>() {
    require(unary_number<T>(context, op, x, y, parameters), "no kernel of this function for integers", name(x.dtype));
  });
}

void unary_backward(const KernelContext& context, UnaryGradOp op, ConstTensorView saved, ConstTensorView dy, TensorView dx,
                    UnaryParameters parameters) {
  require_one_shape(saved, dx);
  require_one_shape(dy, dx);
  cuda::visit_float(dx.dtype, [&]<class T>() { unary_backward_float<T>(context, op, saved, dy, dx, parameters); });
}

void clip(const KernelContext& context, ConstTensorView x, ConstTensorView low, ConstTensorView high, TensorView y) {
  require_one_shape(x, y);
  cuda::visit_number(x.dtype, [&]<class T>() {
    map<T, T>(context, Clip<T>{bound_at<T>(low, -kInfinity), bound_at<T>(high, kInfinity)}, x, y);
  });
}

void clip(const KernelContext& context, ConstTensorView x, double low, double high, TensorView y) {
  require_one_shape(x, y);
  cuda::visit_number(x.dtype, [&]<class T>() { map<T, T>(context, Clip<T>{bound_at<T>({}, low), bound_at<T>({}, high)}, x, y); });
}

void clip_backward(const KernelContext& context, ConstTensorView x, ConstTensorView dy, ConstTensorView low, ConstTensorView high,
                   TensorView dx) {
  require_one_shape(x, dx);
  require_one_shape(dy, dx);
  cuda::visit_float(x.dtype, [&]<class T>() {
    map_flat(context, Clip<T>{bound_at<T>(low, -kInfinity), bound_at<T>(high, kInfinity)}, dx.as<T>().data(), dx.elements(),
             x.as<T>().data(), dy.as<T>().data());
  });
}

void logical_not(const KernelContext& context, ConstTensorView x, TensorView y) { map<bool, bool>(context, Not(), x, y); }

void is_nan(const KernelContext& context, ConstTensorView x, TensorView y) {
  cuda::visit_float(x.dtype, [&]<class T>() { map<T, bool>(context, IsNan(), x, y); });
}

void is_inf(const KernelContext& context, ConstTensorView x, TensorView y, bool positive, bool negative) {
  cuda::visit_float(x.dtype, [&]<class T>() { map<T, bool>(context, IsInf{positive, negative}, x, y); });
}

void scale(const KernelContext& context, ConstTensorView x, TensorView y, double factor) {
  require_one_shape(x, y);
  cuda::visit_float(x.dtype, [&]<class T>() { map<T, T>(context, Scale<Compute<T>>{static_cast<Compute<T>>(factor)}, x, y); });
}

}  // namespace tandem::cuda
