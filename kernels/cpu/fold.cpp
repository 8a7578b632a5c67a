#include "kernels/api/fold.h"

#include "kernels/api/conv.h"
#include "kernels/api/strided_box.h"
#include "kernels/cpu/conv_patches.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Calls f(pixel, at) for the output pixels that meet the image in this tap, for one channel.
template <class F>
void for_each_meeting(const ConvShape& s, const Tap& tap, F&& f) {
  for (int64_t depth = 0; depth < s.w.output[0]; ++depth) {
    const PixelBlock plane{depth, 0, s.w.output[1], 0, s.w.output[2]};
    const TapBlock in = clip_tap(s, plane, tap);
    for (int64_t line = 0; line < in.lines; ++line) {
      const int64_t from = plane.first(s) + (in.line + line) * plane.width + in.column;
      const int64_t to = in.source + line * s.w.stride[1] * s.w.input[2];
      for (int64_t i = 0; i < in.width; ++i) f(from + i, to + i * s.w.stride[2]);
    }
  }
}

ConvShape columns_of(const Window& window, ConstTensorView columns, ConstTensorView image) {
  ConvGeometry g;
  g.channels = g.filters = 1;
  g.window = window;
  ConvShape s(g);
  s.w = window;  // also where it is pointwise
  const int64_t planes = image.shape[0] * image.shape[1];
  ensure(columns.elements() == planes * s.taps * s.output && image.elements() == planes * s.input, "columns do not fit the image",
         to_string(columns.shape), to_string(image.shape));
  return s;
}

// Where a position in a tensor of shape `indexed` lies in y.
class Placement {
 public:
  Placement(const Shape& indexed, const Shape& y) : indexed_(indexed), y_(y), strides_(dense_strides(y)), same_(indexed == y) {}
  int64_t of(int64_t index) const {
    require(index >= 0 && index < indexed_.elements(), "[MaxUnpool] an index is outside the output (index, shape)", index,
            to_string(indexed_));
    if (same_) return index;
    int64_t offset = 0;
    for (int a = indexed_.rank() - 1; a >= 0; index /= indexed_[a], --a) {
      const int64_t position = index % indexed_[a];
      require(position < y_[a], "[MaxUnpool] an index is outside output_shape (axis, position)", a, position);
      offset += position * strides_[static_cast<size_t>(a)];
    }
    return offset;
  }

 private:
  Shape indexed_, y_;
  std::array<int64_t, Shape::kMaxRank> strides_;
  bool same_;
};

}  // namespace

void col2im(const KernelContext& context, const Window& window, ConstTensorView x, TensorView y) {
  const ConvShape s = columns_of(window, x, y);
  visit_number(y.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, y.shape[0] * y.shape[1], grain_of(s.taps * s.output), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        T* target = out + plane * s.input;
        std::fill_n(target, s.input, T(0));
        for_each_tap(s, [&](int64_t index, const Tap& tap) {
          const T* pixels = in + (plane * s.taps + index) * s.output;
          for_each_meeting(s, tap, [&](int64_t from, int64_t to) { target[to] += pixels[from]; });
        });
      }
    });
  });
}

void im2col(const KernelContext& context, const Window& window, ConstTensorView y, TensorView x) {
  const ConvShape s = columns_of(window, x, y);
  visit_number(y.dtype, [&]<class T>() {
    const T* in = y.as<T>().data();
    T* out = x.as<T>().data();
    parallel_chunks(context, y.shape[0] * y.shape[1], grain_of(s.taps * s.output), [&](int64_t begin, int64_t end) {
      std::fill(out + begin * s.taps * s.output, out + end * s.taps * s.output, T(0));
      for (int64_t plane = begin; plane < end; ++plane)
        for_each_tap(s, [&](int64_t index, const Tap& tap) {
          T* pixels = out + (plane * s.taps + index) * s.output;
          for_each_meeting(s, tap, [&](int64_t to, int64_t from) { pixels[to] = in[plane * s.input + from]; });
        });
    });
  });
}

void max_unpool(const KernelContext& context, ConstTensorView x, ConstTensorView indices, const Shape& indexed, TensorView y) {
  const auto at = indices.as<int64_t>();
  const Placement place(indexed, y.shape);
  for (const int64_t index : at) place.of(index);  // throws before anything is written
  visit_size(y.dtype, [&]<class T>() {
    const T* in = x.raw<T>().data();
    T* out = y.raw<T>().data();
    parallel_chunks(context, y.elements(), kGrain, [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, T{}); });
    for (size_t i = 0; i < at.size(); ++i) out[place.of(at[i])] = in[i];
  });
}

void max_unpool_grad(const KernelContext& context, ConstTensorView dy, ConstTensorView indices, const Shape& indexed,
                     TensorView dx) {
  const auto at = indices.as<int64_t>();
  const Placement place(indexed, dy.shape);
  ensure(std::ssize(context.workspace) >= dy.elements(), "workspace of MaxUnpool's gradient is too small",
         context.workspace.size());
  const auto taken = context.workspace.first(static_cast<size_t>(dy.elements()));
  std::ranges::fill(taken, std::byte{0});
  visit_float(dy.dtype, [&]<class T>() {
    const T* in = dy.as<T>().data();
    T* out = dx.as<T>().data();
    for (size_t i = at.size(); i-- > 0;) {
      const int64_t from = place.of(at[i]);
      std::byte& is_taken = taken[static_cast<size_t>(from)];
      out[i] = is_taken == std::byte{0} ? in[from] : T(0);
      is_taken = std::byte{1};
    }
  });
}

}  // namespace tandem::cpu
