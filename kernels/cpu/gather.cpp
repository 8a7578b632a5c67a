// Reads are shared by output element; the sums of a gradient by column, so that whoever adds to an element adds all of its terms.
#include "kernels/api/gather.h"

#include <algorithm>

#include "kernels/api/element_walk.h"
#include "kernels/cpu/indices.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

void gather(const KernelContext& context, ConstTensorView x, ConstTensorView indices, int axis, TensorView y) {
  const AxisView view(x.shape, axis);
  const int64_t count = indices.elements();
  with_indices(indices, view.length, [&](const auto* index) {
    visit_size(x.dtype, [&]<class T>() {
      const T* in = x.raw<T>().data();
      T* out = y.raw<T>().data();
      parallel_chunks(context, view.outer * count, grain_of(view.inner), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const T* from = in + (i / count * view.length + wrapped(index[i % count], view.length)) * view.inner;
          std::copy(from, from + view.inner, out + i * view.inner);
        }
      });
    });
  });
}

void gather_backward(const KernelContext& context, ConstTensorView dy, ConstTensorView indices, int axis, TensorView dx) {
  const AxisView view(dx.shape, axis);
  const int64_t count = indices.elements();
  with_indices(indices, view.length, [&](const auto* index) {
    visit_float(dx.dtype, [&]<class T>() {
      const T* grad = dy.as<T>().data();
      T* out = dx.as<T>().data();
      std::fill_n(out, dx.elements(), T{0});
      // Threads own columns: whoever adds to an element adds all of its terms, in the order of the indices.
      constexpr int64_t kColumns = 64;
      const int64_t pieces = ceil_div(view.inner, kColumns);
      parallel_chunks(context, view.outer * pieces, grain_of(count * kColumns), [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
          const int64_t outer = p / pieces, column = p % pieces * kColumns, width = std::min(kColumns, view.inner - column);
          for (int64_t i = 0; i < count; ++i) {
            const T* from = grad + (outer * count + i) * view.inner + column;
            T* to = out + (outer * view.length + wrapped(index[i], view.length)) * view.inner + column;
            for (int64_t c = 0; c < width; ++c) to[c] += from[c];
          }
        }
      });
    });
  });
}

void gather_elements(const KernelContext& context, ConstTensorView x, ConstTensorView indices, int axis, TensorView y) {
  const ElementWalk walk(x.shape, indices.shape, axis);
  with_indices(indices, x.shape[axis], [&](const auto* index) {
    visit_size(x.dtype, [&]<class T>() {
      const T* in = x.raw<T>().data();
      T* out = y.raw<T>().data();
      parallel_chunks(context, indices.elements(), kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = in[walk.offset(i) + wrapped(index[i], x.shape[axis]) * walk.axis_stride()];
      });
    });
  });
}

void gather_elements_backward(const KernelContext&, ConstTensorView dy, ConstTensorView indices, int axis, TensorView dx) {
  const ElementWalk walk(dx.shape, indices.shape, axis);
  with_indices(indices, dx.shape[axis], [&](const auto* index) {
    visit_float(dx.dtype, [&]<class T>() {
      const T* grad = dy.as<T>().data();
      T* out = dx.as<T>().data();
      std::fill_n(out, dx.elements(), T{0});
      for (int64_t i = 0; i < indices.elements(); ++i)
        out[walk.offset(i) + wrapped(index[i], dx.shape[axis]) * walk.axis_stride()] += grad[i];
    });
  });
}

void gather_nd(const KernelContext& context, ConstTensorView x, ConstTensorView indices, int batch_dims, TensorView y) {
  const TupleWalk walk(x.shape, indices.shape, batch_dims);
  const int64_t* index = indices.as<int64_t>().data();
  walk.check(index);
  visit_size(x.dtype, [&]<class T>() {
    const T* in = x.raw<T>().data();
    T* out = y.raw<T>().data();
    parallel_chunks(context, walk.batches() * walk.per_batch(), grain_of(walk.slice()), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) std::copy_n(in + walk.offset(index, t), walk.slice(), out + t * walk.slice());
    });
  });
}

}  // namespace tandem::cpu
