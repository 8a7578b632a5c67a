// NumPy-broadcast operands as a few axes. Axes that all operands walk alike are merged, so that what is left is an inner row in
// which each operand either stands still (stride 0) or advances by one: the four common cases (same shape, scalar, row, inner)
// are one row or a few long ones.
#pragma once

#include <array>

#include "kernels/base/shape.h"

namespace tandem {

template <size_t N>
struct BroadcastLayout {
  using Axes = std::array<int64_t, Shape::kMaxRank>;

  int rank = 0;       // of what is left; 0 for a single element
  int64_t total = 0;  // elements of the output
  Axes dims{};
  std::array<Axes, N> strides{};  // in elements, of each operand

  // Throws Internal if `out` is not what the inputs broadcast to.
  BroadcastLayout(const Shape& out, const std::array<const Shape*, N>& in) : total(out.elements()) {
    std::array<Axes, N> all{};
    for (size_t k = 0; k < N; ++k) all[k] = strides_of(out, *in[k]);
    for (int axis = 0; axis < out.rank(); ++axis)
      if (out[axis] != 1) append(out[axis], axis, all);
  }

  int64_t inner_size() const { return rank ? dims[last()] : 1; }
  // Operand k's step within a row: 0 or 1.
  int64_t inner_stride(size_t k) const { return rank ? strides[k][last()] : 0; }

 private:
  size_t last() const { return static_cast<size_t>(rank - 1); }

  // The shapes are put into words only here: a layout is made for every tile of a region.
  [[noreturn]] static void misfit(std::string_view what, const Shape& in, const Shape& out) {
    fail(ErrorCode::kInternal, what, {to_string(in), to_string(out)});
  }

  static Axes strides_of(const Shape& out, const Shape& in) {
    Axes strides{};
    if (in.rank() > out.rank()) misfit("operand has more axes than the output", in, out);
    int64_t stride = 1;
    for (int i = in.rank() - 1, o = out.rank() - 1; i >= 0; --i, --o) {
      if (in[i] != out[o] && in[i] != 1) misfit("operand does not broadcast to the output", in, out);
      strides[static_cast<size_t>(o)] = in[i] == 1 ? 0 : stride;
      stride *= in[i];
    }
    return strides;
  }

  // Adds an axis, merged into the one before when every operand steps over both as over one.
  void append(int64_t size, int axis, const std::array<Axes, N>& all) {
    const size_t a = static_cast<size_t>(axis);
    bool merge = rank > 0;
    for (size_t k = 0; merge && k < N; ++k) merge = strides[k][last()] == all[k][a] * size;
    if (!merge) ++rank;
    dims[last()] = merge ? dims[last()] * size : size;
    for (size_t k = 0; k < N; ++k) strides[k][last()] = all[k][a];
  }
};

}  // namespace tandem
