// Two operands with broadcasting, and where with three: each operand is read once (what is repeated comes from the cache) and the
// output written once (device/map.cuh).
#include <cmath>
#include <limits>

#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/integer_arithmetic.h"
#include "kernels/cuda/device/map.cuh"

namespace tandem::cuda {
namespace {

template <class A, class B, class R, class F>
void map(const KernelContext& context, F f, ConstTensorView a, ConstTensorView b, TensorView y) {
  map_broadcast(context, f, y.as<R>().data(), y.shape, {&a.shape, &b.shape}, a.as<A>().data(), b.as<B>().data());
}

struct Add {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return static_cast<C>(static_cast<Wrapping<C>>(a) + static_cast<Wrapping<C>>(b));
  }
};
struct Sub {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return static_cast<C>(static_cast<Wrapping<C>>(a) - static_cast<Wrapping<C>>(b));
  }
};
struct Mul {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return static_cast<C>(static_cast<Wrapping<C>>(a) * static_cast<Wrapping<C>>(b));
  }
};
struct Div {
  template <class C>
  __device__ C operator()(C a, C b) const {
    if constexpr (std::is_integral_v<C>)
      return integer_quotient(a, b);
    else
      return a / b;
  }
};
struct Min {  // NaN wins
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a != a || a < b ? a : b;
  }
};
struct Max {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a != a || a > b ? a : b;
  }
};
struct Mod {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return integer_modulus(a, b);
  }
};
struct Fmod {
  template <class C>
  __device__ C operator()(C a, C b) const {
    if constexpr (std::is_integral_v<C>)
      return integer_remainder(a, b);
    else
      return std::fmod(a, b);
  }
};

struct PRelu {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a < C(0) ? Mul()(a, b) : a;
  }
};
struct BitAnd {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return static_cast<C>(a & b);
  }
};
struct BitOr {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return static_cast<C>(a | b);
  }
};
struct BitXor {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return static_cast<C>(a ^ b);
  }
};
struct ShiftLeft {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return shifted_left(a, b);
  }
};
struct ShiftRight {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return shifted_right(a, b);
  }
};

// The ops that only integers have.
template <class T>
void integers(const KernelContext& context, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  const auto apply = [&](auto f) { map<T, T, T>(context, f, a, b, y); };
  switch (op) {
    case BinaryOp::kMod: return apply(Mod());
    case BinaryOp::kBitAnd: return apply(BitAnd());
    case BinaryOp::kBitOr: return apply(BitOr());
    case BinaryOp::kBitXor: return apply(BitXor());
    case BinaryOp::kShiftLeft: return apply(ShiftLeft());
    case BinaryOp::kShiftRight: return apply(ShiftRight());
    default: fail(ErrorCode::kInternal, "not an op of integers", {static_cast<int>(op)});
  }
}

template <class T>
void arithmetic(const KernelContext& context, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  const auto apply = [&](auto f) { map<T, T, T>(context, f, a, b, y); };
  switch (op) {
    case BinaryOp::kAdd: return apply(Add());
    case BinaryOp::kSub: return apply(Sub());
    case BinaryOp::kMul: return apply(Mul());
    case BinaryOp::kDiv: return apply(Div());
    case BinaryOp::kMin: return apply(Min());
    case BinaryOp::kMax: return apply(Max());
    case BinaryOp::kFmod: return apply(Fmod());
    case BinaryOp::kPRelu: return apply(PRelu());
    default: break;
  }
  if constexpr (std::is_integral_v<T>)
    integers<T>(context, op, a, b, y);
  else
    fail(ErrorCode::kInvalidArgument, "no kernel of this function for floats (type)", {name(a.dtype)});
}

// Compares what it gets: 16-bit floats as f32.
struct Equal {
  template <class C>
  __device__ bool operator()(C a, C b) const {
    return a == b;
  }
};
struct Less {
  template <class C>
  __device__ bool operator()(C a, C b) const {
    return a < b;
  }
};
struct LessOrEqual {
  template <class C>
  __device__ bool operator()(C a, C b) const {
    return a <= b;
  }
};

template <class T>
void compare_numbers(const KernelContext& context, CompareOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  switch (op) {
    case CompareOp::kEqual: return map<T, T, bool>(context, Equal(), a, b, y);
    case CompareOp::kLess: return map<T, T, bool>(context, Less(), a, b, y);
    case CompareOp::kLessOrEqual: return map<T, T, bool>(context, LessOrEqual(), a, b, y);
    case CompareOp::kGreater: return map<T, T, bool>(context, Less(), b, a, y);
    case CompareOp::kGreaterOrEqual: return map<T, T, bool>(context, LessOrEqual(), b, a, y);
  }
}

struct And {
  __device__ bool operator()(bool a, bool b) const { return a && b; }
};
struct Or {
  __device__ bool operator()(bool a, bool b) const { return a || b; }
};
struct Xor {
  __device__ bool operator()(bool a, bool b) const { return a != b; }
};

struct Choose {
  template <class C>
  __device__ C operator()(bool condition, C a, C b) const {
    return condition ? a : b;
  }
};

}  // namespace

void binary(const KernelContext& context, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  cuda::visit_number(y.dtype, [&]<class T>() { arithmetic<T>(context, op, a, b, y); });
}

void compare(const KernelContext& context, CompareOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  if (op == CompareOp::kEqual && a.dtype == DType::kBool) return map<bool, bool, bool>(context, Equal(), a, b, y);
  cuda::visit_number(a.dtype, [&]<class T>() { compare_numbers<T>(context, op, a, b, y); });
}

void logic(const KernelContext& context, LogicOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  switch (op) {
    case LogicOp::kAnd: return map<bool, bool, bool>(context, And(), a, b, y);
    case LogicOp::kOr: return map<bool, bool, bool>(context, Or(), a, b, y);
    case LogicOp::kXor: return map<bool, bool, bool>(context, Xor(), a, b, y);
  }
}

void where(const KernelContext& context, ConstTensorView condition, ConstTensorView a, ConstTensorView b, TensorView y) {
  cuda::visit_size(y.dtype, [&]<class T>() {
    map_broadcast(context, Choose(), y.raw<T>().data(), y.shape, {&condition.shape, &a.shape, &b.shape},
                  condition.as<bool>().data(), a.raw<T>().data(), b.raw<T>().data());
  });
}

}  // namespace tandem::cuda
