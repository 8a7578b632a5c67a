// For each image, group and block of pixels: patches as bytes, in panels, times the packed filters (conv_forward.cpp does the
// same on floats). A pointwise convolution packs its input as it lies.
#include <omp.h>

#include <algorithm>

#include "kernels/api/integer_gemm.h"
#include "kernels/api/integer_products.h"
#include "kernels/cpu/integer_conv_kernels.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPatchBytes = 256 * 1024;  // of patches held at once
constexpr int64_t kAlignment = 64;

int64_t block_pixels(const ConvShape& s) {
  const int64_t wanted = std::clamp<int64_t>(kPatchBytes / std::max<int64_t>(1, s.patch) / 32 * 32, 32, 1024);
  return std::max<int64_t>(1, std::min(wanted, s.output));
}

// Bytes of one thread: patches, and the same in panels.
struct Scratch {
  int64_t patches, panels;
  explicit Scratch(const ConvShape& s) {
    const int64_t pixels = block_pixels(s);
    patches = s.pointwise ? 0 : round_up(s.patch * pixels, kAlignment);
    panels = static_cast<int64_t>(packed_panels_bytes(pixels, s.patch));
  }
  int64_t bytes() const { return patches + panels; }
};

void copy_line(const std::byte* from, int64_t step, int64_t n, std::byte* to) {
  if (step == 1)
    std::copy_n(from, n, to);
  else if (step == 2)
    for (int64_t k = 0; k < n; ++k) to[k] = from[2 * k];
  else
    for (int64_t k = 0; k < n; ++k) to[k] = from[k * step];
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
        for (int64_t l = 0; l < in.lines; ++l, from += line_step) copy_line(from, step, in.width, to);
      }
    });
    i += run;
  }
}

// What all tasks of a convolution share.
struct Convolution {
  const ConvShape& s;
  ConstTensorView x, x_zero;
  const PackedIntegers& filters;
  TensorView y;
  const OutputScales* scales;
  int64_t pixels;   // of a block
  bool wants_sums;  // of patches: some filter has a zero point

  // Filters [first, last) of the plane's group at the block of pixels that begins at `pixel`.
  void run(int64_t plane, int64_t pixel, int64_t first, int64_t last, std::byte* scratch) const {
    const int64_t count = std::min(pixels, s.output - pixel), group = plane % s.groups, line = 4 * ceil_div(s.patch, 4);
    const std::byte* image = x.data + plane * s.channels * s.input;
    const IntegerGemmShape shape = {s.filters, count, s.patch};
    IntegerMatrix patches = {image + pixel, x.dtype == DType::kI8, s.input, 1, x_zero ? x_zero.data : nullptr, 1};
    const Scratch sizes(s);
    if (!s.pointwise) {
      copy_patches(s, image, pixel, count, x_zero ? x_zero.data[0] : std::byte{0}, scratch);
      patches.data = scratch, patches.row_stride = count;
    }
    const PackedIntegers panels = panels_in(scratch + sizes.patches, count, s.patch);
    pack_panels({}, shape, patches, panels, wants_sums);
    const int64_t filter = group * s.filters, at = plane * s.filters * s.output + pixel;
    const PackedIntegers rows = {filters.data + filter * line, filters.sums + filter, filters.zeros + filter};
    IntegerResult result = {.scales_of_rows = true, .stride = s.output};
    const OutputScales own = scales ? scales->from(filter) : OutputScales{};
    if (scales)
      result.quantized = y.data + at, result.scales = &own;
    else
      result.sums = y.as<int32_t>().data() + at;
    multiply_integers(shape, rows, panels, first, last, result);
  }
};

}  // namespace

size_t integer_conv_workspace_bytes(const ConvGeometry& geometry, int threads) {
  const ConvShape s(geometry);
  const int64_t lines = is_line_convolution(s) ? round_up(line_convolution_scratch(s), kAlignment) : 0;
  return static_cast<size_t>(threads * std::max(Scratch(s).bytes(), lines));
}

size_t integer_conv_filter_bytes(const ConvGeometry& geometry) {
  return packed_rows_bytes(geometry.filters, ConvShape(geometry).patch);
}

namespace {

IntegerMatrix filter_matrix(const ConvGeometry& geometry, ConstTensorView w, ConstTensorView w_zero) {
  check_conv_weight(geometry, w.shape);
  require(!w_zero || w_zero.elements() == 1 || w_zero.elements() == geometry.filters,
          "w has one zero point, or one a filter; the shape given", w_zero ? to_string(w_zero.shape) : "");
  const int64_t patch = ConvShape(geometry).patch;
  return {w.data, w.dtype == DType::kI8, patch, 1, w_zero ? w_zero.data : nullptr, w_zero ? w_zero.elements() : 1};
}

void line_convolution(const KernelContext& context, const ConvShape& s, int64_t batch, ConstTensorView x, std::byte zero,
                      const PackedIntegers& filters, TensorView y, const OutputScales* scales) {
  IntegerResult result = {.scales = scales, .scales_of_rows = true, .stride = s.output};
  if (scales)
    result.quantized = y.data;
  else
    result.sums = y.as<int32_t>().data();
  const int64_t planes = batch * s.groups, scratch = round_up(line_convolution_scratch(s), kAlignment);
#pragma omp parallel for num_threads(context.threads) schedule(static) if (planes > 1 && s.patch * s.output * planes > 64 * 1024)
  for (int64_t plane = 0; plane < planes; ++plane)
    convolve_lines(s, x, zero, filters, plane, result, context.workspace.data() + omp_get_thread_num() * scratch);
}

}  // namespace

PackedWeight pack_integer_filters(const ConvGeometry& geometry, ConstTensorView w, ConstTensorView w_zero) {
  return PackedWeight::rows(filter_matrix(geometry, w, w_zero), geometry.filters, ConvShape(geometry).patch);
}

void integer_conv(const KernelContext& context, const ConvGeometry& geometry, ConstTensorView x, ConstTensorView x_zero,
                  const PackedIntegers& filters, TensorView y, const OutputScales* scales) {
  const int64_t batch = check_conv(geometry, x.shape, y.shape);
  require(!x_zero || x_zero.elements() == 1, "x has one zero point; the shape given", x_zero ? to_string(x_zero.shape) : "");
  const ConvShape s(geometry);
  if (y.elements() == 0) return;
  ensure(context.workspace.size() >= integer_conv_workspace_bytes(geometry, context.threads),
         "the workspace of an integer convolution is too small", context.workspace.size());
  if (is_line_convolution(s) && all_zero(filters, geometry.filters))
    return line_convolution(context, s, batch, x, x_zero ? x_zero.data[0] : std::byte{0}, filters, y, scales);
  const int64_t pixels = block_pixels(s), blocks = ceil_div(s.output, pixels), scratch = Scratch(s).bytes();
  const Convolution conv = {s, x, x_zero, filters, y, scales, pixels, !all_zero(filters, geometry.filters)};
  const int64_t planes = batch * s.groups * blocks;
  // Where there are fewer blocks than threads, filters are shared out too, and patches made more than once.
  const int64_t parts = std::min<int64_t>(ceil_div(context.threads, planes), ceil_div(s.filters, 48)),
                part = ceil_div(s.filters, parts);
  const int64_t tasks = planes * parts;
#pragma omp parallel for num_threads(context.threads) \
    schedule(static) if (tasks > 1 && s.filters * s.patch * s.output * planes > 64 * 1024)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t first = task % parts * part, block = task / parts;
    if (first < s.filters)
      conv.run(block / blocks, block % blocks * pixels, first, std::min(first + part, s.filters),
               context.workspace.data() + omp_get_thread_num() * scratch);
  }
}

void integer_conv(const KernelContext& context, const ConvGeometry& geometry, ConstTensorView x, ConstTensorView x_zero,
                  ConstTensorView w, ConstTensorView w_zero, TensorView y, const OutputScales* scales) {
  const size_t filter_bytes = integer_conv_filter_bytes(geometry);
  ensure(context.workspace.size() >= filter_bytes, "the workspace of an integer convolution is too small",
         context.workspace.size());
  const int64_t patch = ConvShape(geometry).patch;
  const PackedIntegers filters = rows_in(context.workspace.data(), geometry.filters, patch);
  pack_rows(context, {geometry.filters, 0, patch}, filter_matrix(geometry, w, w_zero), filters);
  KernelContext rest = context;
  rest.workspace = context.workspace.subspan(filter_bytes);
  integer_conv(rest, geometry, x, x_zero, filters, y, scales);
}

}  // namespace tandem::cpu
