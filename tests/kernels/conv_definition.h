// Convolution by its definition, for tests: which inputs, weights and outputs meet.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/conv.h"

namespace tandem::test {

// Calls f(x index, w index, y index) for every multiply-add of the convolution, by the definition.
template <class F>
void for_each_product(const ConvGeometry& g, int64_t batch, F&& f) {
  const Window& w = g.window;
  const int64_t cg = g.channels / g.groups, fg = g.filters / g.groups;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t filter = 0; filter < g.filters; ++filter)
      for (int64_t o = 0; o < w.output_size(); ++o)
        for (int64_t c = 0; c < cg; ++c)
          for (int64_t t = 0; t < w.kernel_size(); ++t) {
            const int64_t out[3] = {o / (w.output[1] * w.output[2]), o / w.output[2] % w.output[1], o % w.output[2]};
            const int64_t tap[3] = {t / (w.kernel[1] * w.kernel[2]), t / w.kernel[2] % w.kernel[1], t % w.kernel[2]};
            int64_t pixel = 0;
            bool inside = true;
            for (size_t axis = 0; axis < 3; ++axis) {
              const int64_t at = out[axis] * w.stride[axis] - w.pad_begin[axis] + tap[axis] * w.dilation[axis];
              inside = inside && at >= 0 && at < w.input[axis];
              pixel = pixel * w.input[axis] + at;
            }
            if (!inside) continue;
            f(static_cast<size_t>((n * g.channels + filter / fg * cg + c) * w.input_size() + pixel),
              static_cast<size_t>((filter * cg + c) * w.kernel_size() + t),
              static_cast<size_t>((n * g.filters + filter) * w.output_size() + o));
          }
}

}  // namespace tandem::test
