// Two operands with broadcasting: f32 arithmetic through the SIMD rows, everything else through one scalar function per op.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <span>
#include <type_traits>

#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/integer_arithmetic.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/broadcast.h"
#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {
namespace {

// y[i] = f(a[i], b[i]) over the broadcast. The three rows a compiler can vectorise are written out.
template <class A, class B, class R, class F>
void map(const KernelContext& context, ConstTensorView a, ConstTensorView b, TensorView y, F f) {
  const BroadcastLoop<2> loop(y.shape, {&a.shape, &b.shape});
  const bool walk_a = loop.inner_stride(0) != 0, walk_b = loop.inner_stride(1) != 0;
  const A* as = a.as<A>().data();
  const B* bs = b.as<B>().data();
  R* ys = y.as<R>().data();
  loop.run(context, [&](const std::array<int64_t, 2>& offsets, int64_t out, int64_t n) {
    const A* pa = as + offsets[0];
    const B* pb = bs + offsets[1];
    R* py = ys + out;
    if (walk_a && walk_b) {
      for (int64_t i = 0; i < n; ++i) py[i] = f(pa[i], pb[i]);
    } else if (walk_a) {
      for (int64_t i = 0; i < n; ++i) py[i] = f(pa[i], *pb);
    } else {
      const A first = *pa;
      for (int64_t i = 0; i < n; ++i) py[i] = f(first, pb[walk_b ? i : 0]);
    }
  });
}

template <class T>
T quotient(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return integer_quotient(a, b);
  else
    return a / b;
}

template <class T>
T c_remainder(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return integer_remainder(a, b);
  else
    return std::fmod(a, b);
}

template <class T>
bool is_nan_value(T v) {
  return v != v;
}

// The ops that only integers have.
template <class T>
void integers(const KernelContext& context, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  const auto apply = [&](auto f) { map<T, T, T>(context, a, b, y, f); };
  switch (op) {
    case BinaryOp::kMod: return apply([](T u, T v) { return integer_modulus(u, v); });
    case BinaryOp::kBitAnd: return apply([](T u, T v) { return static_cast<T>(u & v); });
    case BinaryOp::kBitOr: return apply([](T u, T v) { return static_cast<T>(u | v); });
    case BinaryOp::kBitXor: return apply([](T u, T v) { return static_cast<T>(u ^ v); });
    case BinaryOp::kShiftLeft: return apply([](T u, T v) { return shifted_left(u, v); });
    case BinaryOp::kShiftRight: return apply([](T u, T v) { return shifted_right(u, v); });
    default: fail(ErrorCode::kInternal, "not an op of integers", {static_cast<int>(op)});
  }
}

template <class T>
void arithmetic(const KernelContext& context, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  using W = Wrapping<T>;
  const auto apply = [&](auto f) { map<T, T, T>(context, a, b, y, f); };
  switch (op) {
    case BinaryOp::kAdd: return apply([](T u, T v) { return static_cast<T>(static_cast<W>(u) + static_cast<W>(v)); });
    case BinaryOp::kSub: return apply([](T u, T v) { return static_cast<T>(static_cast<W>(u) - static_cast<W>(v)); });
    case BinaryOp::kMul: return apply([](T u, T v) { return static_cast<T>(static_cast<W>(u) * static_cast<W>(v)); });
    case BinaryOp::kDiv: return apply([](T u, T v) { return quotient(u, v); });
    case BinaryOp::kMin: return apply([](T u, T v) { return is_nan_value(u) || u < v ? u : v; });
    case BinaryOp::kMax: return apply([](T u, T v) { return is_nan_value(u) || u > v ? u : v; });
    case BinaryOp::kFmod: return apply([](T u, T v) { return c_remainder(u, v); });
    case BinaryOp::kPRelu: return apply([](T u, T v) { return u < T{0} ? static_cast<T>(static_cast<W>(u) * static_cast<W>(v)) : u; });
    default: break;
  }
  if constexpr (std::is_integral_v<T>)
    integers<T>(context, op, a, b, y);
  else
    fail(ErrorCode::kInvalidArgument, "no kernel of this function for floats (type)", {name(a.dtype)});
}

constexpr int64_t kShortRow = 256, kRepeated = 2048;

// A short row that meets all rows of the other operand is written out several times, so that a call has enough to do.
void binary_of_row(const KernelContext& context, BinaryOp op, std::span<const float> row, bool is_first, const float* rows, float* y, int64_t count) {
  const auto n = static_cast<int64_t>(row.size()), together = std::min(kRepeated / n, count);
  std::array<float, kRepeated> repeated;
  for (int64_t r = 0; r < together; ++r) std::ranges::copy(row, repeated.begin() + r * n);
  parallel_chunks(context, ceil_div(count, together), grain_of(kRepeated), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * together; i < std::min(count, end * together); i += together) {
      const float *of_row = repeated.data(), *of_rows = rows + i * n;
      simd::binary(op, is_first ? of_row : of_rows, 1, is_first ? of_rows : of_row, 1, y + i * n, std::min(together, count - i) * n);
    }
  });
}

void binary_f32(const KernelContext& context, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  const BroadcastLoop<2> loop(y.shape, {&a.shape, &b.shape});
  const float *as = a.as<float>().data(), *bs = b.as<float>().data();
  float* ys = y.as<float>().data();
  const int64_t step_a = loop.inner_stride(0), step_b = loop.inner_stride(1), row = loop.inner_size(), all = y.shape.elements();
  const int64_t count_a = a.shape.elements(), count_b = b.shape.elements();
  if (step_a == 1 && step_b == 1 && row > 0 && row <= kShortRow && all > row && std::max(count_a, count_b) == all && std::min(count_a, count_b) == row) {
    const bool is_first = count_a == row;
    return binary_of_row(context, op, {is_first ? as : bs, static_cast<size_t>(row)}, is_first, is_first ? bs : as, ys, all / row);
  }
  loop.run(context, [&](const std::array<int64_t, 2>& offsets, int64_t out, int64_t n) {
    simd::binary(op, as + offsets[0], step_a, bs + offsets[1], step_b, ys + out, n);
  });
}

// As int64_t; a larger one as the largest of its kind, odd or even, which does the same.
template <class B>
int64_t whole_exponent(B b) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  if constexpr (std::is_same_v<B, uint64_t>)
    if (b > static_cast<uint64_t>(kMost)) return kMost - 1 + static_cast<int64_t>(b % 2);
  return static_cast<int64_t>(b);
}

// Exponent 2 is what graphs mostly hold; x * x is also what std::pow rounds to.
template <class A, class B>
A power(A a, B b) {
  if constexpr (std::is_integral_v<A>) {
    if (is_whole(b)) return integer_power(a, whole_exponent(b));
    if (b == B(0.5)) return convert<A>(std::sqrt(static_cast<double>(a)));
    return convert<A>(std::pow(static_cast<double>(a), static_cast<double>(b)));
  } else {
    if (b == B{2}) return a * a;
    if constexpr (std::is_same_v<A, float> && std::is_same_v<B, float>) return std::pow(a, b);
    return static_cast<A>(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
}

template <class F>
void visit_base(DType t, F&& f) {
  if (t == DType::kI32) return f.template operator()<int32_t>();
  if (t == DType::kI64) return f.template operator()<int64_t>();
  visit_float(t, f);
}

template <class F>
void visit_comparable(DType t, F&& f) {
  if (t == DType::kString) return f.template operator()<std::string_view>();
  visit_arithmetic_or_bool(t, f);
}

template <class T>
void compare_orders(const KernelContext& context, CompareOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  switch (op) {
    case CompareOp::kEqual: break;
    case CompareOp::kLess: return map<T, T, bool>(context, a, b, y, std::less<T>{});
    case CompareOp::kLessOrEqual: return map<T, T, bool>(context, a, b, y, std::less_equal<T>{});
    case CompareOp::kGreater: return map<T, T, bool>(context, a, b, y, std::greater<T>{});
    case CompareOp::kGreaterOrEqual: return map<T, T, bool>(context, a, b, y, std::greater_equal<T>{});
  }
}

}  // namespace

void binary(const KernelContext& context, BinaryOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  if (y.dtype == DType::kF32 && op <= BinaryOp::kMax) return binary_f32(context, op, a, b, y);
  visit_arithmetic(y.dtype, [&]<class T>() { arithmetic<T>(context, op, a, b, y); });
}

void pow(const KernelContext& context, ConstTensorView a, ConstTensorView b, TensorView y) {
  visit_base(a.dtype, [&]<class A>() { visit_arithmetic(b.dtype, [&]<class B>() { map<A, B, A>(context, a, b, y, power<A, B>); }); });
}

void compare(const KernelContext& context, CompareOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  if (op == CompareOp::kEqual)
    return visit_comparable(a.dtype, [&]<class T>() { map<T, T, bool>(context, a, b, y, std::equal_to<T>{}); });
  visit_arithmetic(a.dtype, [&]<class T>() { compare_orders<T>(context, op, a, b, y); });
}

void logic(const KernelContext& context, LogicOp op, ConstTensorView a, ConstTensorView b, TensorView y) {
  switch (op) {
    case LogicOp::kAnd: return map<bool, bool, bool>(context, a, b, y, [](bool u, bool v) { return u && v; });
    case LogicOp::kOr: return map<bool, bool, bool>(context, a, b, y, [](bool u, bool v) { return u || v; });
    case LogicOp::kXor: return map<bool, bool, bool>(context, a, b, y, [](bool u, bool v) { return u != v; });
  }
}

void where(const KernelContext& context, ConstTensorView condition, ConstTensorView a, ConstTensorView b, TensorView y) {
  const BroadcastLoop<3> loop(y.shape, {&condition.shape, &a.shape, &b.shape});
  const bool* chosen = condition.as<bool>().data();
  const int64_t step_c = loop.inner_stride(0), step_a = loop.inner_stride(1), step_b = loop.inner_stride(2);
  visit_size(y.dtype, [&]<class T>() {
    const T *as = a.raw<T>().data(), *bs = b.raw<T>().data();
    T* ys = y.raw<T>().data();
    loop.run(context, [&](const std::array<int64_t, 3>& offsets, int64_t out, int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        ys[out + i] = chosen[offsets[0] + i * step_c] ? as[offsets[1] + i * step_a] : bs[offsets[2] + i * step_b];
    });
  });
}

}  // namespace tandem::cpu
