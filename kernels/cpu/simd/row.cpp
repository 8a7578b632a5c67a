// Compiled once per instruction set by Highway's foreach_target; see row.h for the contract.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/row.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// After highway.h.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <limits>

#include "kernels/cpu/simd/part-inl.h"
#include "kernels/cpu/simd/row.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// exp, with NaN kept: Highway's Exp maps it to 0.
template <class D>
HWY_INLINE hn::Vec<D> exp_of(D d, hn::Vec<D> x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

// Folds term(0), term(1), ... with four running accumulators. `term(i, count)` gives the lanes from element i on, count of
// them valid and the rest neutral. An element's accumulator depends on its place alone, so neutral elements behind the last one change nothing.
template <class T, class Term, class Fold>
hn::Vec<hn::ScalableTag<T>> fold_terms(int64_t n, T neutral, Term term, Fold fold) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a0 = hn::Set(d, neutral), a1 = a0, a2 = a0, a3 = a0;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a0 = fold(a0, term(i, lanes));
    a1 = fold(a1, term(i + lanes, lanes));
    a2 = fold(a2, term(i + 2 * lanes, lanes));
    a3 = fold(a3, term(i + 3 * lanes, lanes));
  }
  if (i < n) a0 = fold(a0, term(i, std::min(lanes, n - i)));
  if ((i += lanes) < n) a1 = fold(a1, term(i, std::min(lanes, n - i)));
  if ((i += lanes) < n) a2 = fold(a2, term(i, std::min(lanes, n - i)));
  if ((i += lanes) < n) a3 = fold(a3, term(i, std::min(lanes, n - i)));
  return fold(fold(a0, a1), fold(a2, a3));
}

template <class T, class Term>
T sum_terms(int64_t n, Term term) {
  const hn::ScalableTag<T> d;
  const auto total = fold_terms<T>(n, T{0}, term, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); });
  return hn::GetLane(hn::SumOfLanes(d, total));
}

// The lanes of a row; `fill` beyond its end.
template <class T>
struct Row {
  const T* p;
  T fill = 0;
  HWY_ATTR auto operator()(int64_t i, int64_t count) const { return load_lanes(hn::ScalableTag<T>(), p + i, count, fill); }
};

// out[i] = term(i) for all i.
template <class T, class Term>
void map_terms(T* out, int64_t n, Term term) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < n; i += lanes) {
    const int64_t count = std::min(lanes, n - i);
    store_lanes(d, term(i, count), out + i, count);
  }
}

template <class T>
T row_max(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const T lowest = -std::numeric_limits<T>::infinity();
  const auto peak = fold_terms<T>(n, lowest, Row<T>{x, lowest}, [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); });
  return hn::GetLane(hn::MaxOfLanes(d, peak));
}

template <class T>
Range<T> row_range(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const Row<T> xs{x, std::numeric_limits<T>::quiet_NaN()};
  const T infinity = std::numeric_limits<T>::infinity();
  auto low0 = hn::Set(d, infinity), low1 = low0, high0 = hn::Set(d, -infinity), high1 = high0;
  const auto take = [](auto values, auto& low, auto& high) HWY_ATTR {  // comparisons with NaN are false
    low = hn::IfThenElse(hn::Lt(values, low), values, low);
    high = hn::IfThenElse(hn::Gt(values, high), values, high);
  };
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    take(xs(i, lanes), low0, high0);
    take(xs(i + lanes, lanes), low1, high1);
  }
  for (; i < n; i += lanes) take(xs(i, std::min(lanes, n - i)), low0, high0);
  return {hn::GetLane(hn::MinOfLanes(d, hn::Min(low0, low1))), hn::GetLane(hn::MaxOfLanes(d, hn::Max(high0, high1)))};
}

template <class T>
T row_sum(const T* x, int64_t n) {
  return sum_terms<T>(n, Row<T>{x});
}

template <class T>
T row_dot(const T* x, const T* y, int64_t n, T center) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x}, ys{y};
  const auto middle = hn::Set(d, center);
  return sum_terms<T>(n, [&](int64_t i, int64_t count) HWY_ATTR {
    return hn::Mul(hn::Sub(xs(i, count), middle), ys(i, count));  // beyond the end y is 0
  });
}

template <class T>
T row_squared_deviation(const T* x, int64_t n, T center) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x, center};
  const auto middle = hn::Set(d, center);
  return sum_terms<T>(n, [&](int64_t i, int64_t count) HWY_ATTR {
    const auto deviation = hn::Sub(xs(i, count), middle);
    return hn::Mul(deviation, deviation);
  });
}

template <class T>
T row_sum_exp(const T* x, int64_t n, T shift) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x, -std::numeric_limits<T>::infinity()};  // exp(-inf) = 0
  const auto shifts = hn::Set(d, shift);
  return sum_terms<T>(n, [&](int64_t i, int64_t count) HWY_ATTR { return exp_of(d, hn::Sub(xs(i, count), shifts)); });
}

template <class T>
T row_exp(const T* x, T* out, int64_t n, T shift) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x, -std::numeric_limits<T>::infinity()};
  const auto shifts = hn::Set(d, shift);
  return sum_terms<T>(n, [&](int64_t i, int64_t count) HWY_ATTR {
    const auto value = exp_of(d, hn::Sub(xs(i, count), shifts));
    store_lanes(d, value, out + i, count);
    return value;
  });
}

template <class T>
void row_affine(const T* x, T* out, int64_t n, T scale, T offset) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x};
  const auto scales = hn::Set(d, scale), offsets = hn::Set(d, offset);
  map_terms<T>(out, n, [&](int64_t i, int64_t count) HWY_ATTR { return hn::MulAdd(xs(i, count), scales, offsets); });
}

template <class T>
void row_combine(const T* x, const T* y, T* out, int64_t n, T x_scale, T y_scale, T offset) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x}, ys{y};
  const auto x_scales = hn::Set(d, x_scale), y_scales = hn::Set(d, y_scale), offsets = hn::Set(d, offset);
  map_terms<T>(out, n, [&](int64_t i, int64_t count) HWY_ATTR {
    return hn::MulAdd(xs(i, count), x_scales, hn::MulAdd(ys(i, count), y_scales, offsets));
  });
}

template <class T>
void row_multiply_add(const T* x, const T* y, const T* z, T* out, int64_t n) {
  const Row<T> xs{x}, ys{y}, zs{z};
  map_terms<T>(out, n, [&](int64_t i, int64_t count) HWY_ATTR { return hn::MulAdd(xs(i, count), ys(i, count), zs(i, count)); });
}

template <class T>
void row_product(const T* x, const T* y, T* out, int64_t n, T offset) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x}, ys{y};
  const auto offsets = hn::Set(d, offset);
  map_terms<T>(out, n, [&](int64_t i, int64_t count) HWY_ATTR { return hn::Mul(xs(i, count), hn::Add(ys(i, count), offsets)); });
}

template <class T>
void row_minus_scaled_exp(const T* x, const T* y, T* out, int64_t n, T scale) {
  const hn::ScalableTag<T> d;
  const Row<T> xs{x}, ys{y};
  const auto scales = hn::Set(d, scale);
  map_terms<T>(out, n,
               [&](int64_t i, int64_t count) HWY_ATTR { return hn::NegMulAdd(scales, exp_of(d, ys(i, count)), xs(i, count)); });
}

template <class T>
constexpr RowOps<T> kRowOps = {
    .max = row_max<T>,
    .range = row_range<T>,
    .sum = row_sum<T>,
    .dot = row_dot<T>,
    .squared_deviation = row_squared_deviation<T>,
    .sum_exp = row_sum_exp<T>,
    .exp = row_exp<T>,
    .affine = row_affine<T>,
    .combine = row_combine<T>,
    .multiply_add = row_multiply_add<T>,
    .product = row_product<T>,
    .minus_scaled_exp = row_minus_scaled_exp<T>,
};

const RowOps<float>* row_ops_f32() { return &kRowOps<float>; }
const RowOps<double>* row_ops_f64() { return &kRowOps<double>; }

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(row_ops_f32);
HWY_EXPORT(row_ops_f64);

template <>
const RowOps<float>& row_ops<float>() {
  choose_targets();
  return *HWY_DYNAMIC_DISPATCH(row_ops_f32)();
}
template <>
const RowOps<double>& row_ops<double>() {
  choose_targets();
  return *HWY_DYNAMIC_DISPATCH(row_ops_f64)();
}

}  // namespace tandem::cpu::simd
#endif
