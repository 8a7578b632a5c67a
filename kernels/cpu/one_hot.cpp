#include "kernels/api/hot_position.h"
#include "kernels/api/movement.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
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
          const int64_t hot = hot_position(index[i], view.length);
          for (int64_t k = 0; k < view.length; ++k) row[k * view.inner] = k == hot ? on : off;
        }
      });
    });
  };
  visit_arithmetic(indices.dtype, run);
}

}  // namespace tandem::cpu
