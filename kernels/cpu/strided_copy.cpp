#include "kernels/cpu/strided_copy.h"

#include <cstring>
#include <string_view>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kNarrow = 4;  // columns that make no block
constexpr int64_t kBlock = 32;  // a 32 x 32 tile of 4-byte elements is 4 KiB on either side

struct Offsets {
  int64_t source = 0, target = 0;
};
// Of item `index` of the axes but the innermost and `skipped`.
Offsets offsets_of(const StridedBox& box, int64_t index, int skipped) {
  Offsets offsets;
  for (int a = box.rank - 2; a >= 0; --a) {
    if (a == skipped) continue;
    offsets.source += index % box.axis(a).size * box.axis(a).source;
    offsets.target += index % box.axis(a).size * box.axis(a).target;
    index /= box.axis(a).size;
  }
  return offsets;
}

// Rows of the innermost axis, shared by the team.
template <class T>
void copy_rows(const KernelContext& context, const StridedBox& box, const T* source, T* target) {
  const StridedBox::Axis inner = box.inner();
  const int64_t pieces = ceil_div(inner.size, kGrain), rows = box.elements / inner.size;
  parallel_chunks(context, rows * pieces, grain_of(std::min(inner.size, kGrain)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t from = i % pieces * kGrain, n = std::min(kGrain, inner.size - from);
      const Offsets at = offsets_of(box, i / pieces, -1);
      const T* s = source + at.source + from * inner.source;
      T* t = target + at.target + from * inner.target;
      if (inner.source == 1 && inner.target == 1)
        std::memcpy(static_cast<void*>(t), s, static_cast<size_t>(n) * sizeof(T));
      else
        for (int64_t k = 0; k < n; ++k) t[k * inner.target] = s[k * inner.source];
    }
  });
}

// A transpose: the source is dense along one axis and the target along another. Square tiles keep both sides in cache.
template <class T>
void copy_blocks(const KernelContext& context, const StridedBox& box, int dense_axis, const T* source, T* target) {
  const StridedBox::Axis rows = box.axis(dense_axis), columns = box.inner();
  const int64_t row_blocks = ceil_div(rows.size, kBlock), column_blocks = ceil_div(columns.size, kBlock);
  const int64_t blocks = row_blocks * column_blocks, outer = box.elements / (rows.size * columns.size);
  parallel_chunks(context, outer * blocks, grain_of(kBlock * kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i % blocks / column_blocks * kBlock, column = i % column_blocks * kBlock;
      const Offsets at = offsets_of(box, i / blocks, dense_axis);
      const T* s = source + at.source + row * rows.source + column * columns.source;
      T* t = target + at.target + row * rows.target + column * columns.target;
      const int64_t m = std::min(kBlock, rows.size - row), n = std::min(kBlock, columns.size - column);
      T tile[kBlock][kBlock];  // read along the source's dense axis, written along the target's
      for (int64_t c = 0; c < n; ++c)
        for (int64_t r = 0; r < m; ++r) tile[r][c] = s[r + c * columns.source];
      for (int64_t r = 0; r < m; ++r)
        for (int64_t c = 0; c < n; ++c) t[r * rows.target + c * columns.target] = tile[r][c];
    }
  });
}

// The same with few columns, as in depth to space: long stretches of the source's dense axis, column by column.
template <class T>
void copy_narrow(const KernelContext& context, const StridedBox& box, int dense_axis, const T* source, T* target) {
  const StridedBox::Axis rows = box.axis(dense_axis), columns = box.inner();
  const int64_t stretch = kBlock * kBlock / columns.size, pieces = ceil_div(rows.size, stretch);
  const int64_t outer = box.elements / (rows.size * columns.size);
  parallel_chunks(context, outer * pieces, grain_of(kBlock * kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i % pieces * stretch, m = std::min(stretch, rows.size - row);
      const Offsets at = offsets_of(box, i / pieces, dense_axis);
      const T* s = source + at.source + row;
      T* t = target + at.target + row * rows.target;
      for (int64_t c = 0; c < columns.size; ++c)
        for (int64_t r = 0; r < m; ++r) t[r * rows.target + c * columns.target] = s[r + c * columns.source];
    }
  });
}

}  // namespace

void copy_box(const KernelContext& context, const StridedBox& box, const std::byte* source, std::byte* target,
              size_t element_size) {
  if (box.elements == 0) return;
  const int dense_axis = box.dense_source_axis();
  const auto as = [&]<class T>() {
    const T* s = reinterpret_cast<const T*>(source) + box.source_offset;
    T* t = reinterpret_cast<T*>(target) + box.target_offset;
    if (dense_axis < 0)
      copy_rows(context, box, s, t);
    else if (box.inner().size <= kNarrow && box.axis(dense_axis).size > kNarrow)
      copy_narrow(context, box, dense_axis, s, t);
    else
      copy_blocks(context, box, dense_axis, s, t);
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
