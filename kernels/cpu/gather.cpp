// Indices are checked in one pass before any element moves: a bad one must be an error, and an exception cannot leave a parallel
// loop.
#include "kernels/api/gather.h"

#include <algorithm>
#include <cstring>

#include "kernels/api/element_walk.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Calls f(index type's pointer) once every index is known to be in [-limit, limit).
template <class F>
void with_indices(ConstTensorView indices, int64_t limit, F&& f) {
  const auto checked = [&]<class I>() {
    const I* first = indices.as<I>().data();
    for (int64_t i = 0; i < indices.elements(); ++i)
      require(first[i] >= -limit && first[i] < limit, "[Gather] index is out of range: index, size of the axis", first[i], limit);
    f(first);
  };
  require(indices.dtype == DType::kI32 || indices.dtype == DType::kI64, "[Gather] indices must be i32 or i64",
          name(indices.dtype));
  indices.dtype == DType::kI32 ? checked.template operator()<int32_t>() : checked.template operator()<int64_t>();
}

template <class I>
int64_t wrapped(I index, int64_t size) {
  return index < 0 ? static_cast<int64_t>(index) + size : static_cast<int64_t>(index);
}

}  // namespace

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

}  // namespace tandem::cpu
