#include "kernels/api/fold.h"

#include "kernels/api/conv.h"
#include "kernels/api/strided_box.h"
#include "kernels/cpu/conv_patches.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// target += the pixels that tap `index` gave, for one channel.
template <class T>
void add_tap(const ConvShape& s, const Tap& tap, const T* pixels, T* target) {
  for (int64_t depth = 0; depth < s.w.output[0]; ++depth) {
    const PixelBlock plane{depth, 0, s.w.output[1], 0, s.w.output[2]};
    const TapBlock in = clip_tap(s, plane, tap);
    for (int64_t line = 0; line < in.lines; ++line) {
      const T* from = pixels + plane.first(s) + (in.line + line) * plane.width + in.column;
      T* to = target + in.source + line * s.w.stride[1] * s.w.input[2];
      for (int64_t i = 0; i < in.width; ++i) to[i * s.w.stride[2]] += from[i];
    }
  }
}

}  // namespace

void col2im(const KernelContext& context, const Window& window, ConstTensorView x, TensorView y) {
  ConvGeometry g;
  g.channels = g.filters = 1;
  g.window = window;
  ConvShape s(g);
  s.w = window;  // also where it is pointwise
  const int64_t planes = y.shape[0] * y.shape[1];
  ensure(x.elements() == planes * s.taps * s.output && y.elements() == planes * s.input, "columns do not fit the image",
         to_string(x.shape), to_string(y.shape));
  visit_number(y.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, planes, grain_of(s.taps * s.output), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        std::fill_n(out + plane * s.input, s.input, T(0));
        for_each_tap(s, [&](int64_t index, const Tap& tap) {
          add_tap(s, tap, in + (plane * s.taps + index) * s.output, out + plane * s.input);
        });
      }
    });
  });
}

void max_unpool(const KernelContext& context, ConstTensorView x, ConstTensorView indices, const Shape& indexed, TensorView y) {
  const auto at = indices.as<int64_t>();
  const int64_t elements = indexed.elements();
  for (int64_t index : at)
    require(index >= 0 && index < elements, "[MaxUnpool] an index is outside the output (index, shape)", index,
            to_string(indexed));
  const bool same = indexed == y.shape;
  const auto strides = dense_strides(y.shape);
  const auto target = [&](int64_t index) {
    int64_t offset = 0;
    for (int a = indexed.rank() - 1; a >= 0; index /= indexed[a], --a) {
      const int64_t position = index % indexed[a];
      require(position < y.shape[a], "[MaxUnpool] an index is outside output_shape (axis, position)", a, position);
      offset += position * strides[static_cast<size_t>(a)];
    }
    return offset;
  };
  visit_size(y.dtype, [&]<class T>() {
    const T* in = x.raw<T>().data();
    T* out = y.raw<T>().data();
    parallel_chunks(context, y.elements(), kGrain, [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, T{}); });
    for (size_t i = 0; i < at.size(); ++i) out[same ? at[i] : target(at[i])] = in[i];
  });
}

}  // namespace tandem::cpu
