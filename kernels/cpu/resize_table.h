// The taps of one resized axis: for every output position the input positions it reads and their weights.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/api/resize.h"

namespace tandem::cpu {

struct ResizeTable {
  int64_t in = 1, out = 1, taps = 1;
  bool identity = true;            // position o reads o, and the tables are empty
  const int32_t* index = nullptr;  // [out][taps]; -1: outside x (only kTfCropAndResize), for all taps of a position
  const double* weight = nullptr;  // [out][taps]; the taps of a position add up to 1

  int64_t index_of(int64_t o, int64_t tap) const { return identity ? o : index[o * taps + tap]; }
  double weight_of(int64_t o, int64_t tap) const { return identity ? 1.0 : weight[o * taps + tap]; }
  bool outside(int64_t o) const { return !identity && index[o * taps] < 0; }
};

// The most entries that an axis of these sizes needs.
int64_t most_resize_taps(int64_t in, int64_t out, const ResizeOptions& options);

// REQUIRES: most_resize_taps entries in either span (none for an identity).
ResizeTable make_resize_table(int64_t in, int64_t out, const ResizeAxis& axis, const ResizeOptions& options,
                              std::span<int32_t> index, std::span<double> weight);

}  // namespace tandem::cpu
