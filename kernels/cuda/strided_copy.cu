// Every element is read once and written once. Where both sides are dense along the innermost axis, elements are moved as words
// of up to 16 bytes; where the source is dense along another axis, a transpose, 32 x 32 tiles go through shared memory, so that
// both sides are touched in rows. Otherwise the target is written in order and the source is read as it lies.
#include "kernels/cuda/strided_copy.h"

#include "kernels/base/dtype.h"
#include "kernels/cuda/device/divide.cuh"
#include "kernels/cuda/device/grid.cuh"

namespace tandem::cuda {
namespace {

// StridedBox on the device.
struct DeviceBox {
  int rank = 0;
  Divisor sizes[StridedBox::kMostAxes];
  int64_t source[StridedBox::kMostAxes] = {}, target[StridedBox::kMostAxes] = {};

  void add(const StridedBox::Axis& axis) {
    sizes[rank] = Divisor(axis.size);
    source[rank] = axis.source;
    target[rank++] = axis.target;
  }
  // Moves both offsets to element `at` of the box in row-major order.
  __device__ void locate(int64_t at, int64_t& from, int64_t& to) const {
    for (int a = rank - 1; a > 0; --a) {
      const int64_t i = sizes[a].divide(at);
      from += i * source[a];
      to += i * target[a];
    }
    from += at * source[0];
    to += at * target[0];
  }
};

template <class Word>
__global__ void __launch_bounds__(kBlock) copy_strided(DeviceBox box, const Word* source, Word* target, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t from = 0, to = 0;
    box.locate(i, from, to);
    target[to] = source[from];
  }
}

constexpr int kTile = 32, kTileRows = kBlock / kTile;  // rows of a tile that the block moves at once

// The two axes of a transpose: the source is dense along `rows`, the target is written along `columns`.
struct TileAxes {
  StridedBox::Axis rows, columns;
  Divisor row_blocks, column_blocks;
};

// One block a tile; `outer` are the axes beyond the two.
template <class Word>
__global__ void __launch_bounds__(kBlock) copy_tiles(DeviceBox outer, TileAxes axes, const Word* source, Word* target) {
  __shared__ Word tile[kTile][kTile + 1];  // a column falls into 32 different banks
  int64_t rest = blockIdx.x, from = 0, to = 0;
  const int64_t column = axes.column_blocks.divide(rest) * kTile, row = axes.row_blocks.divide(rest) * kTile;
  outer.locate(rest, from, to);
  from += row + column * axes.columns.source;
  to += row * axes.rows.target + column * axes.columns.target;
  const int64_t rows = axes.rows.size - row, columns = axes.columns.size - column;
  const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
#pragma unroll
  for (int c = y; c < kTile; c += kTileRows)
    if (x < rows && c < columns) tile[c][x] = source[from + x + c * axes.columns.source];
  __syncthreads();
#pragma unroll
  for (int r = y; r < kTile; r += kTileRows)
    if (x < columns && r < rows) target[to + r * axes.rows.target + x * axes.columns.target] = tile[x][r];
}

constexpr int64_t kWorthTiles = 16;  // along both axes; below, most of a tile would be idle

template <class Word>
void copy_words(const KernelContext& context, const StridedBox& box, const Word* source, Word* target) {
  const int dense = box.dense_source_axis();
  DeviceBox axes;
  if (dense < 0 || box.axis(dense).size < kWorthTiles || box.inner().size < kWorthTiles) {
    for (int a = 0; a < box.rank; ++a) axes.add(box.axis(a));
    return launch<copy_strided<Word>>(context, grid_for(box.elements), axes, source, target, box.elements);
  }
  for (int a = 0; a < box.rank - 1; ++a)
    if (a != dense) axes.add(box.axis(a));
  const StridedBox::Axis &rows = box.axis(dense), columns = box.inner();
  const int64_t row_blocks = ceil_div(rows.size, kTile), column_blocks = ceil_div(columns.size, kTile);
  const int64_t outer = box.elements / (rows.size * columns.size);
  launch<copy_tiles<Word>>(context, {.blocks = outer * row_blocks * column_blocks, .threads = kBlock}, axes,
                           TileAxes{rows, columns, Divisor(row_blocks), Divisor(column_blocks)}, source, target);
}

// Makes one element of two that always move together.
bool widen(StridedBox& box, const std::byte* source, const std::byte* target, size_t& size) {
  const auto is_odd = [](int64_t n) { return n % 2 != 0; };
  if (size == 16 || box.rank == 0 || box.inner().source != 1 || box.inner().target != 1 || is_odd(box.inner().size)) return false;
  if (is_odd(box.source_offset) || is_odd(box.target_offset)) return false;
  if (reinterpret_cast<uintptr_t>(source) % (2 * size) != 0 || reinterpret_cast<uintptr_t>(target) % (2 * size) != 0)
    return false;
  for (int a = 0; a < box.rank - 1; ++a)
    if (is_odd(box.axis(a).source) || is_odd(box.axis(a).target)) return false;
  for (int a = 0; a < box.rank - 1; ++a) {
    box.axes[static_cast<size_t>(a)].source /= 2;
    box.axes[static_cast<size_t>(a)].target /= 2;
  }
  box.axes[static_cast<size_t>(box.rank - 1)].size /= 2;
  box.source_offset /= 2;
  box.target_offset /= 2;
  box.elements /= 2;
  size *= 2;
  return true;
}

}  // namespace

void copy_box(const KernelContext& context, StridedBox box, const std::byte* source, std::byte* target, size_t element_size) {
  if (box.elements == 0) return;
  while (widen(box, source, target, element_size)) {
  }
  const auto as = [&]<class Word>() {
    copy_words(context, box, reinterpret_cast<const Word*>(source) + box.source_offset,
               reinterpret_cast<Word*>(target) + box.target_offset);
  };
  switch (element_size) {
    case 1: return as.operator()<uint8_t>();
    case 2: return as.operator()<uint16_t>();
    case 4: return as.operator()<uint32_t>();
    case 8: return as.operator()<uint64_t>();
    case 16: return as.operator()<uint4>();
    default: fail(ErrorCode::kInternal, "strided copy of elements of a strange size", {element_size});
  }
}

}  // namespace tandem::cuda
