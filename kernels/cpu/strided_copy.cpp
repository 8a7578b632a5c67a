#include "kernels/cpu/strided_copy.h"

#include <cstring>
#include <string_view>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBlock = 32;  // a 32 x 32 tile of 4-byte elements is 4 KiB on either side

}  // namespace

void StridedCopy::add_axis(int64_t size, int64_t source_stride, int64_t target_stride) {
  elements_ *= size;
  if (size == 1) return;
  if (rank_ > 0) {
    Axis& last = axes_[static_cast<size_t>(rank_ - 1)];
    if (last.source == source_stride * size && last.target == target_stride * size) {
      last = {last.size * size, source_stride, target_stride};
      return;
    }
  }
  ensure(rank_ < static_cast<int>(axes_.size()), "strided copy over too many axes", rank_);
  axes_[static_cast<size_t>(rank_++)] = {size, source_stride, target_stride};
}

int StridedCopy::dense_source_axis() const {
  if (rank_ < 2 || axis(rank_ - 1).source == 1 || axis(rank_ - 1).source == 0) return -1;
  for (int i = rank_ - 2; i >= 0; --i)
    if (axis(i).source == 1) return i;
  return -1;
}

// Rows of the innermost axis, shared by the team.
template <class T>
void StridedCopy::run_as(const KernelContext& context, const T* source, T* target) const {
  const Axis inner = rank_ ? axis(rank_ - 1) : Axis{1, 1, 1};
  const int64_t pieces = ceil_div(inner.size, kGrain), rows = elements_ / inner.size;
  parallel_chunks(context, rows * pieces, grain_of(std::min(inner.size, kGrain)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t row = i / pieces, from = i % pieces * kGrain;
      const int64_t n = std::min(kGrain, inner.size - from);
      const T* s = source + from * inner.source;
      T* t = target + from * inner.target;
      for (int a = rank_ - 2; a >= 0; --a) {
        const int64_t index = row % axis(a).size;
        row /= axis(a).size;
        s += index * axis(a).source;
        t += index * axis(a).target;
      }
      if (inner.source == 1 && inner.target == 1)
        std::memcpy(static_cast<void*>(t), s, static_cast<size_t>(n) * sizeof(T));
      else
        for (int64_t k = 0; k < n; ++k) t[k * inner.target] = s[k * inner.source];
    }
  });
}

// A transpose: the source is dense along one axis and the target along another. Square tiles keep both sides in cache.
template <class T>
void StridedCopy::run_blocked(const KernelContext& context, const T* source, T* target, int dense_axis) const {
  const Axis rows = axis(dense_axis), columns = axis(rank_ - 1);
  const int64_t row_blocks = ceil_div(rows.size, kBlock), column_blocks = ceil_div(columns.size, kBlock);
  const int64_t blocks = row_blocks * column_blocks, outer = elements_ / (rows.size * columns.size);
  parallel_chunks(context, outer * blocks, grain_of(kBlock * kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t box = i / blocks;
      const int64_t row = i % blocks / column_blocks * kBlock, column = i % column_blocks * kBlock;
      const T* s = source + row * rows.source + column * columns.source;
      T* t = target + row * rows.target + column * columns.target;
      for (int a = rank_ - 2; a >= 0; --a) {
        if (a == dense_axis) continue;
        const int64_t index = box % axis(a).size;
        box /= axis(a).size;
        s += index * axis(a).source;
        t += index * axis(a).target;
      }
      const int64_t m = std::min(kBlock, rows.size - row), n = std::min(kBlock, columns.size - column);
      T tile[kBlock][kBlock];  // read along the source's dense axis, written along the target's
      for (int64_t c = 0; c < n; ++c)
        for (int64_t r = 0; r < m; ++r) tile[r][c] = s[r + c * columns.source];
      for (int64_t r = 0; r < m; ++r)
        for (int64_t c = 0; c < n; ++c) t[r * rows.target + c * columns.target] = tile[r][c];
    }
  });
}

void StridedCopy::run(const KernelContext& context, const std::byte* source, std::byte* target, size_t element_size) const {
  if (elements_ == 0) return;
  const int dense_axis = dense_source_axis();
  const auto as = [&]<class T>() {
    const T* s = reinterpret_cast<const T*>(source);
    T* t = reinterpret_cast<T*>(target);
    dense_axis < 0 ? run_as(context, s, t) : run_blocked(context, s, t, dense_axis);
  };
  switch (element_size) {
    case 1: return as.operator()<uint8_t>();
    case 2: return as.operator()<uint16_t>();
    case 4: return as.operator()<uint32_t>();
    case 8: return as.operator()<uint64_t>();
    case 16: return as.operator()<std::string_view>();
    default: fail(ErrorCode::kInternal, "strided copy of elements of a strange size", {element_size});
  }
}

}  // namespace tandem::cpu
