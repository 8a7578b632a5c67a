// Gathers read every element once, as words of up to 16 bytes where rows allow, and write it once in order.
//
// Their gradients add without atomics: whoever owns a row of the gradient, or an element, looks through the indices for those
// that name it and adds what belongs to them in ascending order, as the CPU does. For n indices into an axis of length L,
// gather_backward compares n * min(n, L) indices (L: a block each row; n, if there are fewer of them: a block each index that is
// the first of its value, after the gradient was set to zero); gather_elements_backward as many for each element of dx as indices
// lie on its line along the axis.
#include "kernels/api/gather.h"

#include "kernels/api/element_walk.h"
#include "kernels/cuda/device/divide.cuh"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduce.cuh"

namespace tandem::cuda {
namespace {

// The position an index stands for; -1 if there is none.
template <class I>
__device__ int64_t position(I index, int64_t size) {
  const int64_t at = index < 0 ? static_cast<int64_t>(index) + size : static_cast<int64_t>(index);
  return at >= 0 && at < size ? at : -1;
}

template <class F>
void visit_index(ConstTensorView indices, F&& f) {
  if (indices.dtype == DType::kI32) return f.template operator()<int32_t>();
  require(indices.dtype == DType::kI64, "[Gather] indices must be i32 or i64", name(indices.dtype));
  f.template operator()<int64_t>();
}

template <class I, class Word>
__global__ void __launch_bounds__(kBlock) gather_rows(const Word* x, const I* indices, Word* y, int64_t n, Divisor inner,
                                                      Divisor count, int64_t width, int64_t length) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t outer = i;
    const int64_t column = inner.divide(outer), at = position(indices[count.divide(outer)], length);
    y[i] = at < 0 ? Word{} : x[(outer * length + at) * width + column];
  }
}

template <class I, class T>
__global__ void __launch_bounds__(kBlock)
    gather_each(ElementWalk walk, const T* x, const I* indices, T* y, int64_t n, int64_t length) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    const int64_t at = position(indices[i], length);
    y[i] = at < 0 ? T{} : x[walk.offset(i) + at * walk.axis_stride()];
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) set_to_zero(T* y, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) y[i] = T{};
}

// dx and dy as [outer, L or n, inner]. All pairs of (outer, inner) count as columns, kBlock of them to a block.
struct GradientLayout {
  int64_t length, count, inner, columns;
  int64_t chunks;  // blocks that share the columns of a row
  bool by_row;     // a block's row is given by its number; else by the index at that number, if it is the first of its value
};

// Whether an index before `i` names the same row. The same answer in all threads.
template <class I>
__device__ bool is_named_before(const I* indices, int64_t i, int64_t row, int64_t length) {
  int found = 0;
  for (int64_t j = threadIdx.x; j < i && !found; j += kBlock) found = position(indices[j], length) == row;
  return block_reduce<kBlock>(found, Max()) != 0;
}

template <class I, class T>
__global__ void __launch_bounds__(kBlock) add_rows(const T* dy, const I* indices, T* dx, GradientLayout layout) {
  __shared__ unsigned matches[kBlock / 32];
  const int64_t item = blockIdx.x / layout.chunks;
  const int64_t row = layout.by_row ? item : position(indices[item], layout.length);
  // The same for the whole block: nobody waits for it at a barrier below.
  if (row < 0 || (!layout.by_row && is_named_before(indices, item, row, layout.length))) return;
  const int64_t column = blockIdx.x % layout.chunks * kBlock + threadIdx.x;
  const bool adds = column < layout.columns;
  const int64_t outer = column / layout.inner, inner = column % layout.inner;
  Compute<T> sum = 0;
  for (int64_t begin = layout.by_row ? 0 : item / kBlock * kBlock; begin < layout.count; begin += kBlock) {
    const int64_t j = begin + threadIdx.x;
    const unsigned found = __ballot_sync(0xffffffffu, j < layout.count && position(indices[j], layout.length) == row);
    if (threadIdx.x % 32 == 0) matches[threadIdx.x / 32] = found;
    __syncthreads();
    for (int warp = 0; adds && warp < kBlock / 32; ++warp)
      for (unsigned rest = matches[warp]; rest != 0; rest &= rest - 1) {
        const int64_t i = begin + warp * 32 + __ffs(static_cast<int>(rest)) - 1;
        sum += widen(dy[(outer * layout.count + i) * layout.inner + inner]);
      }
    __syncthreads();
  }
  if (adds) dx[(outer * layout.length + row) * layout.inner + inner] = narrow<T>(sum);
}

// The lines of dx along the axis; those of the indices are no longer, and may be fewer.
struct LineLayout {
  int rank, axis;
  Divisor sizes[Shape::kMaxRank];                              // of dx
  int64_t extents[Shape::kMaxRank], strides[Shape::kMaxRank];  // of the indices
};

template <class I, class T>
__global__ void __launch_bounds__(kBlock)
    add_elements(LineLayout layout, const T* dy, const I* indices, T* dx, int64_t n, int64_t length) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t rest = i, first = 0, here = 0;
    bool inside = true;
    for (int a = layout.rank - 1; a >= 0; --a) {
      const int64_t at = layout.sizes[a].divide(rest);
      if (a == layout.axis) {
        here = at;
        continue;
      }
      inside = inside && at < layout.extents[a];
      first += at * layout.strides[a];
    }
    Compute<T> sum = 0;
    const int64_t stride = layout.strides[layout.axis];
    for (int64_t j = 0; inside && j < layout.extents[layout.axis]; ++j)
      if (position(indices[first + j * stride], length) == here) sum += widen(dy[first + j * stride]);
    dx[i] = narrow<T>(sum);
  }
}

// The largest power of two, at most 16, that divides a row's bytes and both addresses.
size_t word_size(int64_t row_bytes, const std::byte* x, const std::byte* y) {
  const size_t bits = 16 | static_cast<size_t>(row_bytes) | reinterpret_cast<uintptr_t>(x) | reinterpret_cast<uintptr_t>(y);
  return bits & (~bits + 1);
}

template <class F>
void visit_word(size_t size, F&& f) {
  switch (size) {
    case 1: return f.template operator()<uint8_t>();
    case 2: return f.template operator()<uint16_t>();
    case 4: return f.template operator()<uint32_t>();
    case 8: return f.template operator()<uint64_t>();
    default: return f.template operator()<uint4>();
  }
}

}  // namespace

void gather(const KernelContext& context, ConstTensorView x, ConstTensorView indices, int axis, TensorView y) {
  if (y.elements() == 0) return;
  const AxisView view(x.shape, axis);
  const int64_t row_bytes = view.inner * static_cast<int64_t>(size_of(x.dtype));
  visit_index(indices, [&]<class I>() {
    visit_word(word_size(row_bytes, x.data, y.data), [&]<class Word>() {
      const int64_t width = row_bytes / static_cast<int64_t>(sizeof(Word)), n = y.elements() / view.inner * width;
      launch<gather_rows<I, Word>>(context, grid_for(n), reinterpret_cast<const Word*>(x.data), indices.as<I>().data(),
                                   reinterpret_cast<Word*>(y.data), n, Divisor(width), Divisor(indices.elements()), width,
                                   view.length);
    });
  });
}

void gather_backward(const KernelContext& context, ConstTensorView dy, ConstTensorView indices, int axis, TensorView dx) {
  if (dx.elements() == 0) return;
  const AxisView view(dx.shape, axis);
  const int64_t count = indices.elements(), columns = view.outer * view.inner;
  const GradientLayout layout = {view.length, count, view.inner, columns, ceil_div(columns, kBlock), view.length <= count};
  cuda::visit_float(dx.dtype, [&]<class T>() {
    visit_index(indices, [&]<class I>() {
      T* out = dx.as<T>().data();
      if (!layout.by_row) launch<set_to_zero<T>>(context, grid_for(dx.elements()), out, dx.elements());
      launch<add_rows<I, T>>(context, {.blocks = std::min(view.length, count) * layout.chunks, .threads = kBlock},
                             dy.as<T>().data(), indices.as<I>().data(), out, layout);
    });
  });
}

void gather_elements(const KernelContext& context, ConstTensorView x, ConstTensorView indices, int axis, TensorView y) {
  const ElementWalk walk(x.shape, indices.shape, axis);
  visit_index(indices, [&]<class I>() {
    cuda::visit_size(x.dtype, [&]<class T>() {
      launch<gather_each<I, T>>(context, grid_for(y.elements()), walk, x.raw<T>().data(), indices.as<I>().data(),
                                y.raw<T>().data(), y.elements(), x.shape[axis]);
    });
  });
}

void gather_elements_backward(const KernelContext& context, ConstTensorView dy, ConstTensorView indices, int axis,
                              TensorView dx) {
  if (dx.elements() == 0) return;
  LineLayout layout = {.rank = dx.shape.rank(), .axis = axis, .sizes = {}, .extents = {}, .strides = {}};
  const auto strides = dense_strides(indices.shape);
  for (int a = 0; a < layout.rank; ++a) {
    layout.sizes[a] = Divisor(dx.shape[a]);
    layout.extents[a] = indices.shape[a];
    layout.strides[a] = strides[static_cast<size_t>(a)];
  }
  cuda::visit_float(dx.dtype, [&]<class T>() {
    visit_index(indices, [&]<class I>() {
      launch<add_elements<I, T>>(context, grid_for(dx.elements()), layout, dy.as<T>().data(), indices.as<I>().data(),
                                 dx.as<T>().data(), dx.elements(), dx.shape[axis]);
    });
  });
}

}  // namespace tandem::cuda
