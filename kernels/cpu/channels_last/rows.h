// Where the rows of A lie: for each run of the reduction and each output pixel of a block, a pointer into the image, to zeros where the
// window is outside, or to a copy where only a part of a run is.
#pragma once

#include <cstdint>

#include "kernels/api/conv.h"

namespace tandem::cpu {

// How a reduction is cut into runs: a function of the weights, strides and dilations, not of the plane.
struct RunShape {
  int64_t taps = 1;    // of a run: 1, or a line of the kernel
  int64_t count = 1;   // runs
  int64_t length = 1;  // floats of a run, of one group
  int64_t pitch = 1;   // floats of a run in the image: of all groups
  bool copies() const { return taps > 1; }
};
RunShape run_shape(const ConvGeometry&);

// Memory of one thread.
struct RowScratch {
  const float** pointers = nullptr;  // [run][rows]
  float* copies = nullptr;           // room for [rows][run][pitch] where the shape copies
  const float* zeros = nullptr;      // pitch zeros
  int32_t* places = nullptr;         // [run + 2][rows]
  int64_t* counts = nullptr;         // [run]
};

// The pixels of a block by the taps that they meet, in order, as places within the block.
struct RowLists {
  int64_t whole = 0, cut = 0;               // pixels all of whose taps are inside the image, and the others
  const int32_t *whole_places = nullptr, *cut_places = nullptr;
  const int64_t* counts = nullptr;          // [run]: pixels of the others that meet it
  const int32_t* places = nullptr;          // [run][rows]
};

// Fills pointers[run * rows + i] for the pixels first + i, i < rows, of [batch, output...].
void point_at_rows(const ConvGeometry&, const RunShape&, const float* x, int64_t first, int64_t rows, const RowScratch&);

// Lists the pixels at which point_at_rows pointed, in memory of the scratch. For shapes that do not copy.
RowLists list_rows(const ConvGeometry&, const RunShape&, int64_t first, int64_t rows, const RowScratch&);

}  // namespace tandem::cpu
