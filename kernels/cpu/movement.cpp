// Most kernels here describe their move as a box with strides on either side; copy_box does the rest.
#include "kernels/api/movement.h"

#include <cstring>

#include "kernels/base/dtype_families.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/stream_copy.h"
#include "kernels/cpu/strided_copy.h"

namespace tandem::cpu {
namespace {

// Zero of every type: zero bytes, and for strings the empty view.
void clear(const KernelContext& context, TensorView y) {
  visit_size(y.dtype, [&]<class T>() {
    T* out = y.raw<T>().data();
    parallel_chunks(context, y.elements(), kGrain, [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, T{}); });
  });
}

// A long tensor and little more, as a decoder's keys and values at each of its steps, which no cache keeps until they are read: with all layers' they would
// only push each other out.
bool grows_little(std::span<const ConstTensorView> inputs, TensorView y) {
  constexpr int64_t kTimes = 16;
  if (inputs.size() != 2 || y.dtype == DType::kString || y.bytes() < far_copy_bytes()) return false;
  return std::min(inputs[0].elements(), inputs[1].elements()) * kTimes <= y.elements();
}

}  // namespace

void transpose(const KernelContext& context, ConstTensorView x, std::span<const int64_t> permutation, TensorView y) {
  copy_box(context, transpose_box(x.shape, permutation, y.shape), x.data, y.data, size_of(x.dtype));
}

void expand(const KernelContext& context, ConstTensorView x, TensorView y) {
  copy_box(context, expand_box(x.shape, y.shape), x.data, y.data, size_of(x.dtype));
}

void tile(const KernelContext& context, ConstTensorView x, TensorView y) {
  copy_box(context, tile_box(x.shape, y.shape), x.data, y.data, size_of(x.dtype));
}

void slice(const KernelContext& context, ConstTensorView x, std::span<const int64_t> starts, std::span<const int64_t> steps,
           TensorView y) {
  copy_box(context, slice_box(x.shape, starts, steps, y.shape), x.data, y.data, size_of(x.dtype));
}

void slice_backward(const KernelContext& context, ConstTensorView dy, std::span<const int64_t> starts,
                    std::span<const int64_t> steps, TensorView dx) {
  clear(context, dx);
  copy_box(context, reversed(slice_box(dx.shape, starts, steps, dy.shape)), dy.data, dx.data, size_of(dy.dtype));
}

void concat(const KernelContext& context, std::span<const ConstTensorView> inputs, int axis, TensorView y) {
  const AxisView whole(y.shape, axis);
  const bool past_caches = grows_little(inputs, y);
  int64_t start = 0;
  for (const ConstTensorView& x : inputs) {
    const int64_t row = x.shape[axis] * whole.inner;
    const bool lies_there = whole.outer == 1 && x.data == y.data + static_cast<size_t>(start) * size_of(y.dtype);
    start += row;
    if (lies_there) continue;
    if (past_caches) {
      const size_t each = size_of(y.dtype), bytes = static_cast<size_t>(row) * each;
      parallel_chunks(context, whole.outer, grain_of(row), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          stream_copy(y.data + static_cast<size_t>(i * whole.length * whole.inner + start - row) * each, x.data + static_cast<size_t>(i) * bytes, bytes);
      });
      continue;
    }
    StridedBox box;
    box.target_offset = start - row;
    box.add_axis(whole.outer, row, whole.length * whole.inner);
    box.add_axis(row, 1, 1);
    copy_box(context, box, x.data, y.data, size_of(y.dtype));
  }
  ensure(start == whole.length * whole.inner, "concatenated inputs do not fill the output", to_string(y.shape));
}

void split(const KernelContext& context, ConstTensorView x, int axis, std::span<const TensorView> outputs) {
  const AxisView whole(x.shape, axis);
  int64_t start = 0;
  for (const TensorView& y : outputs) {
    if (!y) continue;
    const int64_t row = y.shape[axis] * whole.inner;
    StridedBox box;
    box.source_offset = start;
    box.add_axis(whole.outer, whole.length * whole.inner, row);
    box.add_axis(row, 1, 1);
    copy_box(context, box, x.data, y.data, size_of(x.dtype));
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
  visit_arithmetic(y.dtype, [&]<class T>() {
    const T first = start.as<T>()[0], step = delta.as<T>()[0];
    auto out = y.as<T>();
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(first + static_cast<T>(i) * step);
  });
}

}  // namespace tandem::cpu
