#include "kernels/api/movement.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// The position an index stands for, or -1 if it is outside [-depth, depth) or no number.
template <class I>
int64_t position(I index, int64_t depth) {
  if (!(index >= static_cast<I>(-depth) && index < static_cast<I>(depth))) return -1;
  const int64_t whole = static_cast<int64_t>(index);
  return whole < 0 ? whole + depth : whole;
}

}  // namespace

void one_hot(const KernelContext& context, ConstTensorView indices, ConstTensorView values, int axis, TensorView y) {
  const AxisView view(y.shape, axis);
  ensure(values.elements() == 2 && values.dtype == y.dtype, "[OneHot] values must be [off, on] of the output's type",
         name(values.dtype));
  const auto run = [&]<class I>() {
    const I* index = indices.as<I>().data();
    visit_size(y.dtype, [&]<class T>() {
      const T off = values.raw<T>()[0], on = values.raw<T>()[1];
      T* out = y.raw<T>().data();
      parallel_chunks(context, view.outer * view.inner, grain_of(view.length), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          T* row = out + i / view.inner * view.length * view.inner + i % view.inner;
          const int64_t hot = position(index[i], view.length);
          for (int64_t k = 0; k < view.length; ++k) row[k * view.inner] = k == hot ? on : off;
        }
      });
    });
  };
  switch (indices.dtype) {
    case DType::kI32: return run.operator()<int32_t>();
    case DType::kI64: return run.operator()<int64_t>();
    case DType::kF32: return run.operator()<float>();
    case DType::kF64: return run.operator()<double>();
    default: no_kernel_for(indices.dtype);
  }
}

}  // namespace tandem::cpu
