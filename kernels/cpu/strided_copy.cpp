#include "kernels/cpu/strided_copy.h"

#include <cstring>
#include <string_view>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBlock = 32;  // a 32 x 32 tile of 4-byte elements is 4 KiB on either side

// Rows of the innermost axis, shared by the team.
template <class T>
void copy_rows(const KernelContext& context, const StridedBox& box, const T* source, T* target) {
  const StridedBox::Axis inner = box.inner();
  const int64_t pieces = ceil_div(inner.size, kGrain), rows = box.elements / inner.size;
  parallel_chunks(context, rows * pieces, grain_of(std::min(inner.size, kGrain)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t row = i / pieces, from = i % pieces * kGrain;
      const int64_t n = std::min(kGrain, inner.size - from);
      const T* s = source + from * inner.source;
      T* t = target + from * inner.target;
      for (int a = box.rank - 2; a >= 0; --a) {
        const int64_t index = row % box.axis(a).size;
        row /= box.axis(a).size;
        s += index * box.axis(a).source;
        t += index * box.axis(a).target;
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
void copy_blocks(const KernelContext& context, const StridedBox& box, int dense_axis, const T* source, T* target) {
  const StridedBox::Axis rows = box.axis(dense_axis), columns = box.inner();
  const int64_t row_blocks = ceil_div(rows.size, kBlock), column_blocks = ceil_div(columns.size, kBlock);
  const int64_t blocks = row_blocks * column_blocks, outer = box.elements / (rows.size * columns.size);
  parallel_chunks(context, outer * blocks, grain_of(kBlock * kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t rest = i / blocks;
      const int64_t row = i % blocks / column_blocks * kBlock, column = i % column_blocks * kBlock;
      const T* s = source + row * rows.source + column * columns.source;
      T* t = target + row * rows.target + column * columns.target;
      for (int a = box.rank - 2; a >= 0; --a) {
        if (a == dense_axis) continue;
        const int64_t index = rest % box.axis(a).size;
        rest /= box.axis(a).size;
        s += index * box.axis(a).source;
        t += index * box.axis(a).target;
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

}  // namespace

void copy_box(const KernelContext& context, const StridedBox& box, const std::byte* source, std::byte* target,
              size_t element_size) {
  if (box.elements == 0) return;
  const int dense_axis = box.dense_source_axis();
  const auto as = [&]<class T>() {
    const T* s = reinterpret_cast<const T*>(source) + box.source_offset;
    T* t = reinterpret_cast<T*>(target) + box.target_offset;
    dense_axis < 0 ? copy_rows(context, box, s, t) : copy_blocks(context, box, dense_axis, s, t);
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
