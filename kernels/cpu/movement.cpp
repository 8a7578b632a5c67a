// Each kernel here describes its move as a box with strides on either side; StridedCopy does the rest.
#include "kernels/api/movement.h"

#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/strided_copy.h"

namespace tandem::cpu {
namespace {

size_t at(int axis) { return static_cast<size_t>(axis); }
int64_t bytes_of(int64_t elements, DType dtype) { return elements * static_cast<int64_t>(size_of(dtype)); }

void require_rank(std::span<const int64_t> values, const Shape& shape) {
  ensure(static_cast<int>(values.size()) == shape.rank(), "one value an axis is needed; values, shape", values.size(),
         to_string(shape));
}

// Zero of every type: zero bytes, and for strings the empty view.
void clear(const KernelContext& context, TensorView y) {
  visit_size(y.dtype, [&]<class T>() {
    T* out = y.raw<T>().data();
    parallel_chunks(context, y.elements(), kGrain, [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, T{}); });
  });
}

// The box of `whole` that starts at `starts` with `steps`, of the size of `part`; returns the offset of its first element.
int64_t slice_box(const Shape& whole, const Shape& part, std::span<const int64_t> starts, std::span<const int64_t> steps,
                  bool whole_is_source, StridedCopy& box) {
  require_rank(starts, whole);
  require_rank(steps, whole);
  const auto whole_strides = dense_strides(whole), part_strides = dense_strides(part);
  int64_t offset = 0;
  for (int a = 0; a < whole.rank(); ++a) {
    if (part[a] > 0) {
      const int64_t last = starts[at(a)] + (part[a] - 1) * steps[at(a)];
      ensure(std::min(starts[at(a)], last) >= 0 && std::max(starts[at(a)], last) < whole[a], "slice leaves the tensor; axis", a);
    }
    offset += starts[at(a)] * whole_strides[at(a)];
    const int64_t step = steps[at(a)] * whole_strides[at(a)];
    if (whole_is_source)
      box.add_axis(part[a], step, part_strides[at(a)]);
    else
      box.add_axis(part[a], part_strides[at(a)], step);
  }
  return part.elements() ? offset : 0;
}

}  // namespace

void transpose(const KernelContext& context, ConstTensorView x, std::span<const int64_t> permutation, TensorView y) {
  require_rank(permutation, x.shape);
  const auto source = dense_strides(x.shape), target = dense_strides(y.shape);
  StridedCopy box;
  for (int a = 0; a < y.shape.rank(); ++a)
    box.add_axis(y.shape[a], source[static_cast<size_t>(permutation[at(a)])], target[at(a)]);
  box.run(context, x.data, y.data, size_of(x.dtype));
}

void expand(const KernelContext& context, ConstTensorView x, TensorView y) {
  const auto source = dense_strides(x.shape), target = dense_strides(y.shape);
  const int missing = y.shape.rank() - x.shape.rank();
  StridedCopy box;
  for (int a = 0; a < y.shape.rank(); ++a) {
    const int64_t size = a < missing ? 1 : x.shape[a - missing];
    ensure(size == 1 || size == y.shape[a], "shape does not expand", to_string(x.shape), to_string(y.shape));
    box.add_axis(y.shape[a], size == 1 ? 0 : source[at(a - missing)], target[at(a)]);
  }
  box.run(context, x.data, y.data, size_of(x.dtype));
}

void tile(const KernelContext& context, ConstTensorView x, TensorView y) {
  if (y.elements() == 0) return;
  const auto source = dense_strides(x.shape), target = dense_strides(y.shape);
  StridedCopy box;
  for (int a = 0; a < y.shape.rank(); ++a) {
    ensure(y.shape[a] % x.shape[a] == 0, "tiled shape is no multiple", to_string(x.shape), to_string(y.shape));
    box.add_axis(y.shape[a] / x.shape[a], 0, target[at(a)] * x.shape[a]);
    box.add_axis(x.shape[a], source[at(a)], target[at(a)]);
  }
  box.run(context, x.data, y.data, size_of(x.dtype));
}

void slice(const KernelContext& context, ConstTensorView x, std::span<const int64_t> starts, std::span<const int64_t> steps,
           TensorView y) {
  StridedCopy box;
  const int64_t offset = slice_box(x.shape, y.shape, starts, steps, true, box);
  box.run(context, x.data + bytes_of(offset, x.dtype), y.data, size_of(x.dtype));
}

void slice_backward(const KernelContext& context, ConstTensorView dy, std::span<const int64_t> starts,
                    std::span<const int64_t> steps, TensorView dx) {
  clear(context, dx);
  StridedCopy box;
  const int64_t offset = slice_box(dx.shape, dy.shape, starts, steps, false, box);
  box.run(context, dy.data, dx.data + bytes_of(offset, dx.dtype), size_of(dy.dtype));
}

void concat(const KernelContext& context, std::span<const ConstTensorView> inputs, int axis, TensorView y) {
  const AxisView whole(y.shape, axis);
  int64_t start = 0;
  for (const ConstTensorView& x : inputs) {
    const int64_t row = x.shape[axis] * whole.inner;
    StridedCopy box;
    box.add_axis(whole.outer, row, whole.length * whole.inner);
    box.add_axis(row, 1, 1);
    box.run(context, x.data, y.data + bytes_of(start, y.dtype), size_of(y.dtype));
    start += row;
  }
  ensure(start == whole.length * whole.inner, "concatenated inputs do not fill the output", to_string(y.shape));
}

void split(const KernelContext& context, ConstTensorView x, int axis, std::span<const TensorView> outputs) {
  const AxisView whole(x.shape, axis);
  int64_t start = 0;
  for (const TensorView& y : outputs) {
    if (!y) continue;
    const int64_t row = y.shape[axis] * whole.inner;
    StridedCopy box;
    box.add_axis(whole.outer, whole.length * whole.inner, row);
    box.add_axis(row, 1, 1);
    box.run(context, x.data + bytes_of(start, x.dtype), y.data, size_of(x.dtype));
    start += row;
  }
}

void trilu(const KernelContext& context, ConstTensorView x, int64_t k, bool upper, TensorView y) {
  const int rank = x.shape.rank();
  const int64_t columns = x.shape[rank - 1], height = x.shape[rank - 2];
  if (x.elements() == 0) return;
  visit_size(x.dtype, [&]<class T>() {
    const T* in = x.raw<T>().data();
    T* out = y.raw<T>().data();
    parallel_chunks(context, x.elements() / columns, grain_of(columns), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t c = 0; c < columns; ++c) {
          const bool above = c - r % height >= k, diagonal = c - r % height == k;
          out[r * columns + c] = (upper ? above : !above || diagonal) ? in[r * columns + c] : T{};
        }
    });
  });
}

void fill(const KernelContext& context, ConstTensorView value, TensorView y) {
  ensure(value.elements() == 1 && value.dtype == y.dtype, "fill value is not one element of the output's type",
         name(value.dtype));
  visit_size(y.dtype, [&]<class T>() {
    const T one = value.raw<T>()[0];
    T* out = y.raw<T>().data();
    parallel_chunks(context, y.elements(), kGrain, [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, one); });
  });
}

void copy(const KernelContext& context, ConstTensorView x, TensorView y) {
  ensure(x.bytes() == y.bytes(), "copy between different sizes", to_string(x.shape), to_string(y.shape));
  if (x.data == y.data) return;
  parallel_chunks(context, static_cast<int64_t>(x.bytes()), kGrain * 8, [&](int64_t begin, int64_t end) {
    std::memcpy(y.data + begin, x.data + begin, static_cast<size_t>(end - begin));
  });
}

void range(const KernelContext&, ConstTensorView start, ConstTensorView delta, TensorView y) {
  visit_number(y.dtype, [&]<class T>() {
    const T first = start.as<T>()[0], step = delta.as<T>()[0];
    auto out = y.as<T>();
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(first + static_cast<T>(i) * step);
  });
}

}  // namespace tandem::cpu
