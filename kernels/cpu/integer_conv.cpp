// For each image, group and block of pixels: patches as bytes, packed, times the packed filters (conv_forward.cpp does the same
// on floats).
#include <omp.h>

#include <algorithm>

#include "kernels/api/integer_gemm.h"
#include "kernels/api/integer_products.h"
#include "kernels/cpu/conv_patches.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPatchBytes = 128 * 1024;  // of patches held at once
constexpr int64_t kAlignment = 64;

int64_t block_pixels(const ConvShape& s) {
  const int64_t wanted = std::clamp<int64_t>(kPatchBytes / std::max<int64_t>(1, s.patch) / 32 * 32, 32, 1024);
  return std::max<int64_t>(1, std::min(wanted, s.output));
}

// Bytes of one thread: patches, and the same packed.
struct Scratch {
  int64_t patches, panels;
  explicit Scratch(const ConvShape& s) {
    const int64_t pixels = block_pixels(s);
    patches = round_up(s.patch * pixels, kAlignment);
    panels = round_up(packed_integer_b({0, pixels, s.patch}) * static_cast<int64_t>(sizeof(int16_t)), kAlignment);
  }
  int64_t bytes() const { return patches + panels; }
};
int64_t filter_bytes(const ConvShape& s) {
  return round_up(s.groups * packed_integer_a({s.filters, 0, s.patch}) * static_cast<int64_t>(sizeof(int16_t)), kAlignment);
}

// target[k][i]: the element that row k of the filters meets at output pixel `pixel` + i; `outside` in the padding.
void copy_patches(const ConvShape& s, const std::byte* x, int64_t pixel, int64_t pixels, std::byte outside, std::byte* target) {
  const int64_t width = s.w.output[2], line_step = s.w.stride[1] * s.w.input[2], step = s.w.stride[2];
  std::fill_n(target, s.patch * pixels, outside);
  for (int64_t i = 0; i < pixels;) {
    const int64_t column = (pixel + i) % width, line = (pixel + i) / width, run = std::min(width - column, pixels - i);
    const PixelBlock block = {line / s.w.output[1], line % s.w.output[1], 1, column, run};
    for_each_tap(s, [&](int64_t index, const Tap& tap) {
      const TapBlock in = clip_tap(s, block, tap);
      for (int64_t c = 0; c < s.channels && !in.empty(); ++c) {
        const std::byte* from = x + c * s.input + in.source;
        std::byte* to = target + (c * s.taps + index) * pixels + i + in.column;
        for (int64_t l = 0; l < in.lines; ++l, from += line_step)
          for (int64_t k = 0; k < in.width; ++k) to[k] = from[k * step];
      }
    });
    i += run;
  }
}

}  // namespace

size_t integer_conv_workspace_bytes(const ConvGeometry& geometry, int threads) {
  const ConvShape s(geometry);
  return static_cast<size_t>(filter_bytes(s) + threads * Scratch(s).bytes());
}

void integer_conv(const KernelContext& context, const ConvGeometry& geometry, ConstTensorView x, ConstTensorView x_zero,
                  ConstTensorView w, ConstTensorView w_zero, TensorView y) {
  const int64_t batch = check_conv(geometry, x.shape, y.shape);
  check_conv_weight(geometry, w.shape);
  require(!x_zero || x_zero.elements() == 1, "x has one zero point; the shape given", x_zero ? to_string(x_zero.shape) : "");
  require(!w_zero || w_zero.elements() == 1 || w_zero.elements() == geometry.filters,
          "w has one zero point, or one a filter; the shape given", w_zero ? to_string(w_zero.shape) : "");
  const ConvShape s(geometry);
  if (y.elements() == 0) return;
  ensure(context.workspace.size() >= integer_conv_workspace_bytes(geometry, context.threads),
         "the workspace of an integer convolution is too small", context.workspace.size());
  auto* filters = reinterpret_cast<int16_t*>(context.workspace.data());
  const int64_t each = packed_integer_a({s.filters, 0, s.patch});
  for (int64_t g = 0; g < s.groups; ++g) {
    const bool per_filter = w_zero && w_zero.elements() > 1;
    pack_integer_a({s.filters, 0, s.patch},
                   {w.data + g * s.filters * s.patch, w.dtype == DType::kI8, s.patch, 1,
                    w_zero ? w_zero.data + (per_filter ? g * s.filters : 0) : nullptr, per_filter ? s.filters : 1},
                   filters + g * each);
  }
  const Scratch sizes(s);
  std::byte* scratch = context.workspace.data() + filter_bytes(s);
  const int64_t pixels = block_pixels(s), blocks = ceil_div(s.output, pixels);
  const std::byte outside = x_zero ? x_zero.data[0] : std::byte{0};
  int32_t* out = y.as<int32_t>().data();
  const int64_t tasks = batch * s.groups * blocks;
#pragma omp parallel for num_threads(context.threads) \
    schedule(static) if (tasks > 1 && s.filters * s.patch * s.output * tasks > 64 * 1024)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t first = task % blocks * pixels, plane = task / blocks, count = std::min(pixels, s.output - first);
    std::byte* patches = scratch + omp_get_thread_num() * sizes.bytes();
    auto* panels = reinterpret_cast<int16_t*>(patches + sizes.patches);
    copy_patches(s, x.data + plane * s.channels * s.input, first, count, outside, patches);
    const IntegerGemmShape shape = {s.filters, count, s.patch};
    pack_integer_b(shape, {patches, x.dtype == DType::kI8, count, 1, x_zero ? x_zero.data : nullptr, 1}, panels);
    multiply_packed_integers(shape, filters + plane % s.groups * each, panels, out + plane * s.filters * s.output + first,
                             s.output);
  }
}

}  // namespace tandem::cpu
