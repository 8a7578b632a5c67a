// Pooling by sums: a line of outputs adds a term of each tap in scan order, then is finished as a whole. What average and Lp
// pooling share.
#pragma once

#include "kernels/api/pool.h"
#include "kernels/cpu/pool_lines.h"

namespace tandem::cpu {

// y = finish(sum of term(x)); finish(part, line) works on the outputs of one part in place.
template <class T, class Term, class Finish>
void sum_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, Term term, Finish finish) {
  const T* in = x.as<T>().data();
  T* out = y.as<T>().data();
  for_each_plane(context, w, x.shape, [&](int64_t plane) {
    const T* source = in + plane * w.input_size();
    for_each_part(w, [&](const LinePart& part) {
      T* line = out + plane * w.output_size() + part.first(w);
      std::fill_n(line, part.count, T(0));
      for_each_tap_of(w, part, [&](int64_t first, int64_t last, int64_t at) {
        for (int64_t i = first; i < last; ++i, at += w.stride[2]) line[i] += term(source[at]);
      });
      finish(part, line);
    });
  });
}

}  // namespace tandem::cpu
