// Moves that strided copies do not cover, each in one launch: what is read is read once, what is written is written once and in
// order.
#include "kernels/api/movement.h"

#include "kernels/cuda/device/divide.cuh"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/vector.cuh"
#include "kernels/cuda/strided_copy.h"

namespace tandem::cuda {
namespace {

constexpr int kMostParts = 128;

// Tensors that lie side by side in the rows of one matrix. Their columns follow one another: part k has those from starts[k] to
// starts[k + 1], counted from the first part's.
template <class Word>
struct Parts {
  Word* data[kMostParts];
  int64_t starts[kMostParts + 1];
  int count = 0;

  int64_t width() const { return starts[count]; }
  // The part that holds a column.
  __device__ int find(int64_t column) const {
    int low = 0, high = count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      starts[middle] <= column ? low = middle : high = middle;
    }
    return low;
  }
};

// `whole` is the first part's first column of a matrix with rows of `stride` words, n the words of all parts.
template <bool kJoin, class Word>
__global__ void __launch_bounds__(kBlock) move_parts(Parts<Word> parts, Word* whole, Divisor width, int64_t stride, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t row = i;
    const int64_t column = width.divide(row);
    const int k = parts.find(column);
    const int64_t start = parts.starts[k];
    Word& inside = parts.data[k][row * (parts.starts[k + 1] - start) + column - start];
    Word& outside = whole[row * stride + column];
    if constexpr (kJoin)
      outside = inside;
    else
      inside = outside;
  }
}

// Bytes that go together: a power of two, at most 16, that divides the rows and addresses of the whole and of every part.
template <class View>
size_t word_size(const std::byte* whole, size_t row_bytes, std::span<const View> parts, int64_t rows) {
  size_t bits = 16 | row_bytes | reinterpret_cast<uintptr_t>(whole);
  for (const View& part : parts)
    if (part && part.elements() > 0) bits |= reinterpret_cast<uintptr_t>(part.data) | part.bytes() / static_cast<size_t>(rows);
  return bits & (~bits + 1);
}

template <bool kJoin, class Word, class View>
void move_all(const KernelContext& context, std::byte* whole, size_t row_bytes, std::span<const View> views, int64_t rows) {
  const int64_t stride = static_cast<int64_t>(row_bytes / sizeof(Word));
  Word* out = reinterpret_cast<Word*>(whole);
  for (size_t next = 0; next < views.size();) {
    Parts<Word> parts = {};
    for (; next < views.size() && parts.count < kMostParts; ++next) {
      const View& view = views[next];
      if (!view || view.elements() == 0) continue;
      parts.data[parts.count] = reinterpret_cast<Word*>(const_cast<std::byte*>(static_cast<const std::byte*>(view.data)));
      parts.starts[parts.count + 1] = parts.width() + static_cast<int64_t>(view.bytes() / sizeof(Word)) / rows;
      ++parts.count;
    }
    const int64_t width = parts.width(), n = rows * width;
    if (n == 0) continue;
    launch<move_parts<kJoin, Word>>(context, grid_for(n), parts, out, Divisor(width), stride, n);
    out += width;
  }
}

// Either way between a tensor and its parts along an axis.
template <bool kJoin, class View>
void move(const KernelContext& context, std::byte* whole, DType dtype, const AxisView& axis, std::span<const View> views) {
  const size_t row_bytes = static_cast<size_t>(axis.length * axis.inner) * size_of(dtype);
  if (axis.outer == 0 || row_bytes == 0) return;
  switch (word_size(whole, row_bytes, views, axis.outer)) {
    case 1: return move_all<kJoin, uint8_t>(context, whole, row_bytes, views, axis.outer);
    case 2: return move_all<kJoin, uint16_t>(context, whole, row_bytes, views, axis.outer);
    case 4: return move_all<kJoin, uint32_t>(context, whole, row_bytes, views, axis.outer);
    case 8: return move_all<kJoin, uint64_t>(context, whole, row_bytes, views, axis.outer);
    default: return move_all<kJoin, uint4>(context, whole, row_bytes, views, axis.outer);
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    keep_triangle(const T* x, T* y, int64_t n, Divisor columns, Divisor height, int64_t k, bool upper) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t rest = i;
    const int64_t column = columns.divide(rest), row = height.divide(rest), diagonal = column - row;
    y[i] = (upper ? diagonal >= k : diagonal <= k) ? x[i] : T{};
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) fill_elements(T* y, int64_t n, T value) {
  for (int64_t i = first_index(); i < n; i += index_stride()) y[i] = value;
}

template <class T>
__global__ void __launch_bounds__(kBlock) count_up(T* y, int64_t n, const T* start, const T* delta) {
  const Compute<T> first = widen(*start), step = widen(*delta);
  for (int64_t i = first_index(); i < n; i += index_stride())
    y[i] = narrow<T>(static_cast<Compute<T>>(first + static_cast<Compute<T>>(i) * step));
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

void concat(const KernelContext& context, std::span<const ConstTensorView> inputs, int axis, TensorView y) {
  move<true>(context, y.data, y.dtype, AxisView(y.shape, axis), inputs);
}

void split(const KernelContext& context, ConstTensorView x, int axis, std::span<const TensorView> outputs) {
  move<false>(context, const_cast<std::byte*>(x.data), x.dtype, AxisView(x.shape, axis), outputs);
}

void trilu(const KernelContext& context, ConstTensorView x, int64_t k, bool upper, TensorView y) {
  if (x.elements() == 0) return;
  const int rank = x.shape.rank();
  const Divisor columns(x.shape[rank - 1]), height(x.shape[rank - 2]);
  cuda::visit_size(x.dtype, [&]<class T>() {
    launch<keep_triangle<T>>(context, grid_for(x.elements()), x.raw<T>().data(), y.raw<T>().data(), x.elements(), columns, height,
                             k, upper);
  });
}

void fill_with(const KernelContext& context, ConstTensorView value, TensorView y) {
  ensure(value.elements() == 1 && value.dtype == y.dtype, "fill value is not one element of the output's type",
         name(value.dtype));
  cuda::visit_size(y.dtype, [&]<class T>() {
    launch<fill_elements<T>>(context, grid_for(y.elements()), y.raw<T>().data(), y.elements(), value.raw<T>()[0]);
  });
}

void range(const KernelContext& context, ConstTensorView start, ConstTensorView delta, TensorView y) {
  cuda::visit_number(y.dtype, [&]<class T>() {
    launch<count_up<T>>(context, grid_for(y.elements()), y.as<T>().data(), y.elements(), start.as<T>().data(),
                        delta.as<T>().data());
  });
}

}  // namespace tandem::cuda
