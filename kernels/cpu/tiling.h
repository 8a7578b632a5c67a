// How the elements of a broadcast are cut into tiles. A tile is a box: one index along the outer axes, a range along the axis `split`, all of
// the axes behind it; in the output a contiguous run.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

using Axes = std::array<int64_t, Shape::kMaxRank>;

inline constexpr int64_t kShortRow = 256;

// The output's axes, merged where every input walks along both or neither, and how they are cut into tiles.
struct Tiling {
  int rank = 0;
  Axes sizes{};
  std::array<int, Shape::kMaxRank> axes{};  // of the output, one for each merged axis
  int split = 0;
  int64_t rows = 1, inner = 1;  // of a tile along `split`; elements behind it
  int64_t pieces = 1, tiles = 0;

  Tiling(const Shape& output, std::span<const uint64_t> columns, int64_t most_elements) {
    for (int axis = 0; axis < output.rank(); ++axis)
      if (output[axis] != 1) append(axis, output[axis], columns);
    if (rank == 0) sizes[static_cast<size_t>(rank++)] = 1;
    split = rank - 1;
    while (split > 0 && inner * size(split) <= most_elements) inner *= size(split--);
    if (inner * size(split) == 0) return;
    pieces = ceil_div(size(split), std::max<int64_t>(1, most_elements / inner));
    rows = ceil_div(size(split), pieces);
    pieces = ceil_div(size(split), rows);
    tiles = pieces;
    for (int axis = 0; axis < split; ++axis) tiles *= size(axis);
  }
  int64_t size(int axis) const { return sizes[static_cast<size_t>(axis)]; }
  bool walks(uint32_t walks, int axis) const { return walks >> axes[static_cast<size_t>(axis)] & 1; }
  // Whether every tile of such an input is one short row, the same everywhere, `rows` times.
  bool repeats_row(uint32_t walked) const {
    bool all = inner <= kShortRow && rows > 1;
    for (int axis = 0; axis < rank; ++axis) all = all && walks(walked, axis) == (axis > split);
    return all;
  }

 private:
  void append(int axis, int64_t size, std::span<const uint64_t> columns) {
    const auto last = static_cast<size_t>(rank - 1);
    if (rank > 0 && columns[static_cast<size_t>(axes[last])] == columns[static_cast<size_t>(axis)]) {
      sizes[last] *= size;
      return;
    }
    axes[last + 1] = axis;
    sizes[last + 1] = size;
    ++rank;
  }
};

// One box, and the memory around it.
struct Tile {
  const Tiling& tiling;
  std::span<const ConstTensorView> inputs;
  std::span<const TensorView> outputs;
  std::byte* registers;
  uint64_t repeated = 0;            // inputs, as bits, that are written out
  int64_t start = 0, elements = 0;  // of the run of the outputs
  Axes at{};                        // the box's first index along each merged axis, up to `split`
  Shape box{}, line{};              // its shape; the same as one axis

  void move_to(int64_t tile) {
    const int split = tiling.split;
    const int64_t first = tile % tiling.pieces * tiling.rows, rows = std::min(tiling.rows, tiling.size(split) - first);
    int64_t outer = tile / tiling.pieces;
    start = (outer * tiling.size(split) + first) * tiling.inner;
    elements = rows * tiling.inner;
    at[static_cast<size_t>(split)] = first;
    for (int axis = split - 1; axis >= 0; --axis) {
      at[static_cast<size_t>(axis)] = outer % tiling.size(axis);
      outer /= tiling.size(axis);
    }
    box = Shape();
    box.push_back(rows);
    for (int axis = split + 1; axis < tiling.rank; ++axis) box.push_back(tiling.size(axis));
    line = Shape();
    line.push_back(elements);
  }

  // What belongs to the box of an input that is broadcast along some axes.
  ConstTensorView part(const ConstTensorView& whole, uint32_t walks) const {
    ConstTensorView part = {whole.data, whole.dtype, box};
    int64_t stride = 1, offset = 0;
    for (int axis = tiling.rank - 1; axis >= 0; --axis) {
      const bool walked = tiling.walks(walks, axis);
      if (axis >= tiling.split && !walked) part.shape.set(axis - tiling.split, 1);
      if (!walked) continue;
      if (axis <= tiling.split) offset += at[static_cast<size_t>(axis)] * stride;
      stride *= tiling.size(axis);
    }
    part.data += offset * static_cast<int64_t>(size_of(whole.dtype));
    return part;
  }
};

}  // namespace tandem::cpu
