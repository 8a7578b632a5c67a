// Elementwise kernels: one value in, one value out, with NumPy broadcasting where there are several inputs.
//
// Shapes: the output's shape is the broadcast of the inputs' (equal to the input's for unary kernels). The output may be
// the very memory of an input of the same shape and element size; it must not overlap an input in any other way.
// f32 arithmetic is SIMD and at most 4 ULP from the exact value unless an op says otherwise; other types use the C++
// library's scalar functions. An element's result depends on its value only, never on where it stands or on the team's size.
// All throw InvalidArgument for an element type that the op does not take.
#pragma once

#include <span>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// Abs, neg, relu, sign and shrink also take integers, bit-not takes them only; the others f32 and f64.
enum class UnaryOp : uint8_t {
  kAbs,
  kNeg,
  kExp,
  kLog,
  kSqrt,
  kReciprocal,
  kRelu,
  kSigmoid,
  kTanh,
  kErf,
  kSoftplus,
  kFloor,
  kCeil,
  kSign,
  kSin,
  kCos,          // within 2^-22 absolutely (relatively they lose accuracy near their zeros)
  kRound,        // half to even
  kLeakyRelu,    // alpha: slope below 0
  kElu,          // alpha: x < 0 gives alpha * (exp(x) - 1); within 2^-22 * alpha absolutely
  kHardSigmoid,  // min(1, max(0, alpha * x + beta))
  kGelu,         // x * (1 + erf(x / sqrt 2)) / 2; within 4 ULP of x (not of y: the left tail cancels)
  kGeluTanh,     // its tanh approximation; same bound
  kAsin,
  kAcos,
  kAtan,
  kTan,
  kSinh,
  kCosh,
  kAsinh,
  kAcosh,
  kAtanh,
  kSoftsign,         // x / (1 + |x|)
  kHardSwish,        // x * min(1, max(0, x / 6 + 1 / 2))
  kSwish,            // x * sigmoid(alpha * x)
  kMish,             // x * tanh(softplus(x))
  kSelu,             // beta * (x < 0 ? alpha * (exp(x) - 1) : x)
  kCelu,             // max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
  kThresholdedRelu,  // x > alpha ? x : 0
  kShrink,           // x < -alpha ? x + beta : x > alpha ? x - beta : 0
  kClip,             // min(beta, max(alpha, x)); NaN stays
  kBitNot,
};

// Backward kernels: dx from dy and what the forward pass saved.
enum class UnaryGradOp : uint8_t {
  kRelu,
  kSigmoid,
  kTanh,
  kHardSigmoid,  // saved: y
  kLeakyRelu,
  kElu,
  kErf,
  kGelu,
  kGeluTanh,
  kSoftplus,
  kHardSwish,
  kSwish,
  kMish,  // saved: x
};

struct UnaryParameters {
  float alpha = 0, beta = 0;
};

// min and max propagate NaN. Integer division truncates, and gives 0 for a divisor of 0 (it does not trap); all but pow wrap as
// two's complement does.
enum class BinaryOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,
  kMax,  // so far those with SIMD rows
  kMod,   // integers only: the sign of the divisor, as in Python
  kFmod,  // the sign of the dividend, as C's fmod
  kPRelu,  // a < 0 ? a * b : a
  kBitAnd,  // this and the following: integers only
  kBitOr,
  kBitXor,
  kShiftLeft,  // a by b bits; b is taken as unsigned, and as many bits as the type has leave nothing (the sign)
  kShiftRight,
};
enum class CompareOp : uint8_t { kEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };
enum class LogicOp : uint8_t { kAnd, kOr, kXor };

}  // namespace tandem

namespace tandem::cpu {

void unary(const KernelContext&, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters parameters = {});
// `saved`, `dy` and `dx` have one shape and floating type; dx may be either of the others.
void unary_backward(const KernelContext&, UnaryGradOp op, ConstTensorView saved, ConstTensorView dy, TensorView dx,
                    UnaryParameters parameters = {});

// y = min(max(x, low), high); `low` and `high` are scalars of x's type, or null. NaN stays NaN. Numbers.
void clip(const KernelContext&, ConstTensorView x, ConstTensorView low, ConstTensorView high, TensorView y);
// The same with bounds known beforehand; an infinity bounds nothing.
void clip(const KernelContext&, ConstTensorView x, double low, double high, TensorView y);
// dx = low <= x <= high ? dy : 0. Floats.
void clip_backward(const KernelContext&, ConstTensorView x, ConstTensorView dy, ConstTensorView low, ConstTensorView high,
                   TensorView dx);

// Numbers; all three of one type.
void binary(const KernelContext&, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y);
// y = a ^ b in the type of `a`. a: f32, f64, i32, i64; b: those, on a CPU any number. An integer to a whole power is exact, and the nearest
// limit where it does not fit; else it is computed in double unless both are f32.
void pow(const KernelContext&, ConstTensorView a, ConstTensorView b, TensorView y);
// y is bool. Equal takes numbers, bool and strings; the orders take numbers.
void compare(const KernelContext&, CompareOp op, ConstTensorView a, ConstTensorView b, TensorView y);
void logic(const KernelContext&, LogicOp op, ConstTensorView a, ConstTensorView b, TensorView y);  // all bool
void logical_not(const KernelContext&, ConstTensorView x, TensorView y);                           // both bool
void is_nan(const KernelContext&, ConstTensorView x, TensorView y);                                // floats -> bool
void is_inf(const KernelContext&, ConstTensorView x, TensorView y, bool positive, bool negative);  // floats -> bool

// y = condition ? a : b, any element type; `condition` is bool.
void where(const KernelContext&, ConstTensorView condition, ConstTensorView a, ConstTensorView b, TensorView y);

// Numbers, bool, f16 and bf16 to any of them. A float goes to an integer toward zero; NaN gives 0 and what does not fit the
// nearest limit (ONNX leaves both open). To bool: whether it is not 0.
void cast(const KernelContext&, ConstTensorView x, TensorView y);

// y = x * factor. Floats.
void scale(const KernelContext&, ConstTensorView x, TensorView y, double factor);

}  // namespace tandem::cpu

// The twins: the same contracts, in device memory, on the session's stream; no strings. Floats are f16 and bf16 too, computed in
// f32 and rounded once. A clip's bounds are read on the device.
namespace tandem::cuda {

void unary(const KernelContext&, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters parameters = {});
void unary_backward(const KernelContext&, UnaryGradOp op, ConstTensorView saved, ConstTensorView dy, TensorView dx,
                    UnaryParameters parameters = {});
void clip(const KernelContext&, ConstTensorView x, ConstTensorView low, ConstTensorView high, TensorView y);
void clip(const KernelContext&, ConstTensorView x, double low, double high, TensorView y);
void clip_backward(const KernelContext&, ConstTensorView x, ConstTensorView dy, ConstTensorView low, ConstTensorView high,
                   TensorView dx);
void binary(const KernelContext&, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y);
void pow(const KernelContext&, ConstTensorView a, ConstTensorView b, TensorView y);
void compare(const KernelContext&, CompareOp op, ConstTensorView a, ConstTensorView b, TensorView y);
void logic(const KernelContext&, LogicOp op, ConstTensorView a, ConstTensorView b, TensorView y);
void logical_not(const KernelContext&, ConstTensorView x, TensorView y);
void is_nan(const KernelContext&, ConstTensorView x, TensorView y);
void is_inf(const KernelContext&, ConstTensorView x, TensorView y, bool positive, bool negative);
void where(const KernelContext&, ConstTensorView condition, ConstTensorView a, ConstTensorView b, TensorView y);
void cast(const KernelContext&, ConstTensorView x, TensorView y);
void scale(const KernelContext&, ConstTensorView x, TensorView y, double factor);

}  // namespace tandem::cuda
