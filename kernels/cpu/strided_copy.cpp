#include "kernels/cpu/strided_copy.h"

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

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

// 16 bytes of elements, which every x86-64 and ARMv8 machine holds in a register.
template <size_t size>
struct Vector;
template <>
struct Vector<1> { using Type [[gnu::vector_size(16)]] = uint8_t; };
template <>
struct Vector<2> { using Type [[gnu::vector_size(16)]] = uint16_t; };
template <>
struct Vector<4> { using Type [[gnu::vector_size(16)]] = uint32_t; };
template <>
struct Vector<8> { using Type [[gnu::vector_size(16)]] = uint64_t; };

// The rows and columns of a square that is transposed in registers; 0: none is.
template <class T>
constexpr int64_t kSquare = sizeof(T) < 16 ? 16 / static_cast<int64_t>(sizeof(T)) : 0;

// a[from], b[from], a[from + 1], b[from + 1], ...
template <size_t from, class V, size_t... lane>
V interleave(V a, V b, std::index_sequence<lane...>) {
  return __builtin_shufflevector(a, b, (lane % 2 * sizeof...(lane) + from + lane / 2)...);
}

// Each round interleaves row i with row i + half.
template <class T>
void transpose_square(const T* source, int64_t source_stride, T* target, int64_t target_stride) {
  using V = typename Vector<sizeof(T)>::Type;
  constexpr size_t n = static_cast<size_t>(kSquare<T>);
  constexpr auto lanes = std::make_index_sequence<n>();
  std::array<V, n> from, to;
  for (size_t i = 0; i < n; ++i) std::memcpy(&from[i], source + static_cast<int64_t>(i) * source_stride, sizeof(V));
  for (size_t round = 1; round < n; round *= 2) {
    for (size_t i = 0; i < n / 2; ++i) {
      to[2 * i] = interleave<0>(from[i], from[i + n / 2], lanes);
      to[2 * i + 1] = interleave<n / 2>(from[i], from[i + n / 2], lanes);
    }
    from = to;
  }
  for (size_t i = 0; i < n; ++i) std::memcpy(target + static_cast<int64_t>(i) * target_stride, &from[i], sizeof(V));
}

// t[r][c] = s[c][r] of a tile, for strides from one row of either to the next.
template <class T>
void transpose_tile(const T* s, int64_t s_stride, T* t, int64_t t_stride, int64_t rows, int64_t columns) {
  int64_t whole_rows = 0, whole_columns = 0;
  if constexpr (kSquare<T> > 0) {
    whole_rows = rows / kSquare<T> * kSquare<T>, whole_columns = columns / kSquare<T> * kSquare<T>;
    for (int64_t c = 0; c < whole_columns; c += kSquare<T>)
      for (int64_t r = 0; r < whole_rows; r += kSquare<T>) transpose_square(s + c * s_stride + r, s_stride, t + r * t_stride + c, t_stride);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) t[r * t_stride + c] = s[c * s_stride + r];
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
      if (columns.target == 1) {
        transpose_tile(s, columns.source, t, rows.target, m, n);
        continue;
      }
      T tile[kBlock][kBlock];  // read along the source's dense axis, written along the target's
      for (int64_t c = 0; c < n; ++c)
        for (int64_t r = 0; r < m; ++r) tile[r][c] = s[r + c * columns.source];
      for (int64_t r = 0; r < m; ++r)
        for (int64_t c = 0; c < n; ++c) t[r * rows.target + c * columns.target] = tile[r][c];
    }
  });
}

// Three planes become the channels of pixels: all of a pixel at once.
template <class T>
void copy_triples(const T* s, int64_t plane, T* t, int64_t rows) {
  const T *a = s, *b = s + plane, *c = s + 2 * plane;
  int64_t r = 0;
  if constexpr (kSquare<T> == 4) {  // four pixels in registers
    using V = typename Vector<sizeof(T)>::Type;
    for (; r + 4 <= rows; r += 4, t += 12) {
      V first, second, third;
      std::memcpy(&first, a + r, sizeof(V)), std::memcpy(&second, b + r, sizeof(V)), std::memcpy(&third, c + r, sizeof(V));
      const V even = __builtin_shufflevector(first, second, 0, 4, 1, 5), odd = __builtin_shufflevector(first, second, 2, 6, 3, 7);
      const std::array<V, 3> pixels = {__builtin_shufflevector(even, __builtin_shufflevector(third, even, 0, 6, 0, 6), 0, 1, 4, 5),
                                       __builtin_shufflevector(__builtin_shufflevector(even, third, 3, 5, 3, 5), odd, 0, 1, 4, 5),
                                       __builtin_shufflevector(__builtin_shufflevector(third, odd, 2, 6, 2, 6), __builtin_shufflevector(odd, third, 3, 7, 3, 7), 0, 1, 4, 5)};
      std::memcpy(t, pixels.data(), sizeof pixels);
    }
  }
  for (; r < rows; ++r, t += 3) t[0] = a[r], t[1] = b[r], t[2] = c[r];
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
      if (columns.size == 3 && columns.target == 1 && rows.target == 3) {
        copy_triples(s, columns.source, t, m);
        continue;
      }
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
