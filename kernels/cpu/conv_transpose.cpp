#include "kernels/api/conv_transpose.h"

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

void conv_transpose(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView w,
                    ConstTensorView bias, TensorView y) {
  conv_input_grad(context, g, w, x, y);
  if (!bias) return;
  ensure(bias.elements() == g.channels, "bias of a transposed convolution needs one value a channel", bias.elements(),
         g.channels);
  const int64_t plane = g.window.input_size();
  visit_float(y.dtype, [&]<class T>() {
    const T* offsets = bias.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, y.shape[0] * g.channels, grain_of(plane), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        for (T *element = out + p * plane, *last = element + plane; element != last; ++element)
          *element += offsets[p % g.channels];
    });
  });
}

}  // namespace tandem::cpu
