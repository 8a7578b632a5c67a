#include "kernels/api/reverse_sequence.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

void reverse_sequence(const KernelContext& context, ConstTensorView x, ConstTensorView lengths, int time_axis, TensorView y) {
  const int64_t times = x.shape[time_axis], batches = x.shape[1 - time_axis], inner = x.shape.product(2, x.shape.rank());
  const int64_t time_stride = time_axis == 0 ? batches * inner : inner, batch_stride = time_axis == 0 ? inner : times * inner;
  const int64_t* length = lengths.as<int64_t>().data();
  for (int64_t b = 0; b < batches; ++b)
    require(length[b] >= 0 && length[b] <= times, "a sequence is longer than the time axis (batch entry, length, axis)", b,
            length[b], times);
  visit_size(x.dtype, [&]<class T>() {
    const T* in = x.raw<T>().data();
    T* out = y.raw<T>().data();
    parallel_chunks(context, batches * times, grain_of(inner), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t b = i / times, t = i % times, from = t < length[b] ? length[b] - 1 - t : t;
        std::copy_n(in + b * batch_stride + from * time_stride, inner, out + b * batch_stride + t * time_stride);
      }
    });
  });
}

}  // namespace tandem::cpu
