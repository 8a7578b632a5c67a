// Rules of the ops that normalize rows, the axes from `axis` on: LayerNormalization and RMSNormalization.
#pragma once

#include <algorithm>

#include "runtime/ops/symbolic.h"

namespace tandem {

inline int axis_of(const NodeContext& node, int rank) { return node.normalized_axis(node.get_int("axis", -1), rank); }

// Scale or B must have the shape of a row of x.
inline void require_row(const InferenceContext& node, int x, int i) {
  if (!node.has_input(i)) return;
  node.require_same_dtype(x, i);
  if (!node.has_rank(x) || !node.has_rank(i)) return;
  const Dims& dims = node.dims(x);
  const Dims row(dims.begin() + axis_of(node, node.rank(x)), dims.end());
  bool same = row.size() == node.dims(i).size();
  for (size_t k = 0; same && k < row.size(); ++k) same = !differ(row[k], node.dims(i)[k]);
  node.require(same, "Scale and B must have the shape of the normalized axes (input, its dims, those of X from axis on)", i,
               to_string(node.dims(i)), to_string(row));
}

// Any float type will do: sums are at least as precise as f32. But outputs 1 and 2 are f32.
inline void require_stash_type(const NodeContext& node) {
  constexpr int64_t kF32 = 1, kF16 = 10, kF64 = 11, kBF16 = 16;
  const int64_t stash = node.get_int("stash_type", kF32);
  const bool statistics = node.has_output(1) || node.has_output(2);
  const bool known = stash == kF32 || (!statistics && (stash == kF16 || stash == kF64 || stash == kBF16));
  node.require(known, "stash_type must be a float type, and f32 (1) if Mean or InvStdDev are asked for", stash);
}

inline TensorView output_or_null(Outputs out, size_t i) { return out.size() > i ? out[i] : TensorView{}; }

}  // namespace tandem
