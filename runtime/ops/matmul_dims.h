// The shape rule of matrix products, NumPy's.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/ops/symbolic.h"

namespace tandem {

// A matrix operand as [leading..., rows, columns] after its transpose; a vector is a row (the left one) or a column.
inline Dims matrix_dims(const InferenceContext& node, int i, bool is_left, bool transpose) {
  Dims dims = node.dims(i);
  node.require(!dims.empty(), "input must have at least one axis (index)", i);
  node.require(!transpose || dims.size() >= 2, "a vector cannot be transposed (index)", i);
  if (dims.size() == 1) dims.insert(is_left ? dims.begin() : dims.end(), Dim(1));
  if (transpose) std::swap(dims[dims.size() - 1], dims[dims.size() - 2]);
  return dims;
}

// The product of inputs `a` and `b`; nothing if a rank is not known.
inline std::optional<Dims> matmul_dims(const InferenceContext& node, int a_input, int b_input, bool transpose_a = false,
                                       bool transpose_b = false) {
  if (!node.has_rank(a_input) || !node.has_rank(b_input)) return std::nullopt;
  const Dims a = matrix_dims(node, a_input, true, transpose_a), b = matrix_dims(node, b_input, false, transpose_b);
  node.require(!differ(a.back(), b[b.size() - 2]), "inputs do not multiply", to_string(node.dims(a_input)),
               to_string(node.dims(b_input)));
  Dims y = *node.broadcast_dims(Dims(a.begin(), a.end() - 2), Dims(b.begin(), b.end() - 2));
  if (node.rank(a_input) > 1) y.push_back(a[a.size() - 2]);
  if (node.rank(b_input) > 1) y.push_back(b.back());
  return y;
}

}  // namespace tandem
