// Compiled once per instruction set by Highway's foreach_target; see bag_rows.h for the contract.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/bag_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "kernels/cpu/simd/bag_rows.h"
#include "kernels/cpu/simd/part-inl.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kBlock = 32;  // rows that are added in their order
constexpr int64_t kAhead = 24;  // rows between the one that is added and the one that is asked for, into the second-level cache
constexpr int64_t kLine = 64;   // bytes

template <class T>
int64_t lanes() {
  return static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
}

template <class T>
const T* row_of(const BagRows<T>& bag, int64_t i) {
  const int64_t index = bag.wide ? reinterpret_cast<const int64_t*>(bag.indices)[i * bag.stride] : reinterpret_cast<const int32_t*>(bag.indices)[i * bag.stride];
  return bag.table + (index < 0 ? index + bag.rows : index) * bag.width;
}

template <BagMode kMode, class D>
HWY_INLINE hn::Vec<D> join(D, hn::Vec<D> sum, hn::Vec<D> x) {
  if constexpr (kMode == BagMode::kMax) return hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::Gt(x, sum)), x, sum);
  else return hn::Add(sum, x);
}

// Rows [first, end) of the columns of C vectors from `column` on; of a single vector its first `whole`.
template <class T, BagMode kMode, bool kWeighted, int C, class D>
HWY_INLINE void reduce_block(D d, const BagRows<T>& bag, int64_t column, int64_t whole, int64_t first, int64_t end, hn::Vec<D>* sums) {
  const int64_t bytes = lanes<T>() * static_cast<int64_t>(sizeof(T));
  const auto neutral = hn::Set(d, kMode == BagMode::kMax ? -std::numeric_limits<T>::infinity() : T{0});
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) sums[c] = neutral;
  for (int64_t i = first; i < end; ++i) {
    const T* row = row_of(bag, i) + column;
    const auto* ahead = reinterpret_cast<const char*>(row_of(bag, std::min(i + kAhead, bag.known - 1)) + column);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      if (c * bytes % kLine == 0) __builtin_prefetch(ahead + c * bytes, 0, 2);
      const auto x = load_lanes(d, row + c * lanes<T>(), whole);
      if constexpr (kWeighted) sums[c] = hn::MulAdd(hn::Set(d, bag.weights[i * bag.stride]), x, sums[c]);
      else sums[c] = join<kMode>(d, sums[c], x);
    }
  }
}

// The columns of C vectors from `column` on; of a single one the first `count`. Blocks of rows are added in double, as in a reduction.
template <class T, BagMode kMode, bool kWeighted, int C>
void reduce_columns(const BagRows<T>& bag, int64_t column, int64_t count, T* y) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t whole = C > 1 ? lanes<T>() : count;
  V sums[C];
  reduce_block<T, kMode, kWeighted, C>(d, bag, column, whole, 0, std::min(kBlock, bag.count), sums);
  if (bag.count > kBlock) {
    HWY_ALIGN T part[C * hn::MaxLanes(d)];
    double totals[C * hn::MaxLanes(d)];
    const int64_t numbers = C * lanes<T>();
    std::fill_n(totals, C * hn::MaxLanes(d), kMode == BagMode::kMax ? -std::numeric_limits<double>::infinity() : 0.0);
    for (int64_t first = 0; first < bag.count; first += kBlock) {
      if (first > 0) reduce_block<T, kMode, kWeighted, C>(d, bag, column, whole, first, std::min(first + kBlock, bag.count), sums);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) hn::Store(sums[c], d, part + c * lanes<T>());
      for (int64_t l = 0; l < numbers; ++l) {
        const auto x = static_cast<double>(part[l]);
        if constexpr (kMode == BagMode::kMax) totals[l] = x > totals[l] || x != x ? x : totals[l];
        else totals[l] += x;
      }
    }
    for (int64_t l = 0; l < numbers; ++l) part[l] = static_cast<T>(kMode == BagMode::kMean ? totals[l] / static_cast<double>(bag.count) : totals[l]);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) sums[c] = hn::Load(d, part + c * lanes<T>());
  } else if constexpr (kMode == BagMode::kMean) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) sums[c] = hn::Div(sums[c], hn::Set(d, static_cast<T>(bag.count)));
  }
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) store_lanes(d, sums[c], y + column + c * lanes<T>(), whole);
}

template <class T, BagMode kMode, bool kWeighted>
void reduce_bag(const BagRows<T>& bag, T* y) {
  const int64_t vector = lanes<T>();
  for (int64_t column = 0; column < bag.width;) {
    const int64_t left = bag.width - column;
    const int64_t vectors = left >= 8 * vector ? 8 : left >= 4 * vector ? 4 : left >= 2 * vector ? 2 : 1;
    const int64_t count = std::min(left, vector);
    if (vectors == 8) reduce_columns<T, kMode, kWeighted, 8>(bag, column, vector, y);
    else if (vectors == 4) reduce_columns<T, kMode, kWeighted, 4>(bag, column, vector, y);
    else if (vectors == 2) reduce_columns<T, kMode, kWeighted, 2>(bag, column, vector, y);
    else reduce_columns<T, kMode, kWeighted, 1>(bag, column, count, y);
    column += vectors * vector;
  }
}

template <class T>
void reduce(const BagRows<T>& bag, BagMode mode, T* y) {
  if (bag.weights) return reduce_bag<T, BagMode::kSum, true>(bag, y);
  switch (mode) {
    case BagMode::kSum: return reduce_bag<T, BagMode::kSum, false>(bag, y);
    case BagMode::kMean: return reduce_bag<T, BagMode::kMean, false>(bag, y);
    case BagMode::kMax: return reduce_bag<T, BagMode::kMax, false>(bag, y);
  }
}

constexpr BagRowOps<float> kFloatOps = {reduce<float>};
constexpr BagRowOps<double> kDoubleOps = {reduce<double>};

const BagRowOps<float>* float_bags() { return &kFloatOps; }
const BagRowOps<double>* double_bags() { return &kDoubleOps; }

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(float_bags);
HWY_EXPORT(double_bags);

template <>
const BagRowOps<float>& bag_row_ops<float>() {
  choose_targets();
  return *HWY_DYNAMIC_DISPATCH(float_bags)();
}
template <>
const BagRowOps<double>& bag_row_ops<double>() {
  choose_targets();
  return *HWY_DYNAMIC_DISPATCH(double_bags)();
}

}  // namespace tandem::cpu::simd
#endif
