// Depthwise: the plane is copied once with its padding, as u8; a line of y is then a sum over lines of the copy, four taps at a
// time.
#include <algorithm>
#include <array>

#include "kernels/cpu/gemm/integer_line.h"
#include "kernels/cpu/gemm/integer_tier.h"
#include "kernels/cpu/integer_conv_kernels.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kMostLines = 16, kMostQuads = 4, kAlignment = 64;

const IntegerTier& tier() { return integer_tier(chosen_isa()); }

// The padded copy, and behind it sums and zero points of a line of y.
struct Layout {
  int64_t lines, width, sums;
  explicit Layout(const ConvShape& s)
      : lines(s.w.input[1] + s.w.pad_begin[1] + std::max<int64_t>(0, s.w.pad_end[1])),
        width(round_up(
            std::max((s.w.output[2] + 16) * s.w.stride[2] + 4 * kMostQuads, s.w.input[2] + s.w.pad_begin[2]) + kWindowSlack,
            kAlignment)),
        sums(round_up((s.w.output[2] + 16) * 4, kAlignment)) {}
  int64_t bytes() const { return lines * width + 2 * sums; }
};

void copy_plane(const ConvShape& s, const Layout& layout, const std::byte* plane, std::byte flip, std::byte zero,
                std::byte* copy) {
  std::fill_n(copy, layout.lines * layout.width, zero ^ flip);
  for (int64_t line = 0; line < s.w.input[1]; ++line) {
    const std::byte* from = plane + line * s.w.input[2];
    std::byte* to = copy + (line + s.w.pad_begin[1]) * layout.width + s.w.pad_begin[2];
    for (int64_t i = 0; i < s.w.input[2]; ++i) to[i] = from[i] ^ flip;
  }
}

}  // namespace

bool is_line_convolution(const ConvShape& s) {
  const Window& w = s.w;
  const bool padded = w.pad_begin[1] >= 0 && w.pad_begin[2] >= 0;
  return s.depthwise() && s.filters == 1 && w.input[0] == 1 && w.kernel[0] == 1 && w.output[0] == 1 && padded &&
         w.dilation[2] == 1 && w.stride[2] <= 2 && w.kernel[1] <= kMostLines && w.kernel[2] <= 4 * kMostQuads &&
         (w.output[1] - 1) * w.stride[1] + (w.kernel[1] - 1) * w.dilation[1] < Layout(s).lines;
}

int64_t line_convolution_scratch(const ConvShape& s) { return Layout(s).bytes(); }

void convolve_lines(const ConvShape& s, ConstTensorView x, std::byte zero, const PackedIntegers& filters, int64_t plane,
                    const IntegerResult& result, std::byte* scratch) {
  const Layout layout(s);
  const std::byte flip = x.dtype == DType::kI8 ? std::byte{0x80} : std::byte{0};
  copy_plane(s, layout, x.data + plane * s.input, flip, zero, scratch);
  const int64_t filter = plane % s.groups, quads = ceil_div(s.w.kernel[2], 4), width = s.w.output[2];
  std::array<std::byte, 4 * kMostLines * kMostQuads> weights{};
  for (int64_t l = 0; l < s.w.kernel[1]; ++l)
    std::copy_n(filters.data + filter * 4 * ceil_div(s.patch, 4) + l * s.w.kernel[2], s.w.kernel[2],
                weights.data() + 4 * l * quads);
  auto* sums = reinterpret_cast<int32_t*>(scratch + layout.lines * layout.width);
  auto* zeros = reinterpret_cast<int32_t*>(scratch + layout.lines * layout.width + layout.sums);
  std::fill_n(zeros, width, static_cast<int32_t>(zero ^ flip));
  std::array<const std::byte*, kMostLines> lines;
  for (int64_t line = 0; line < s.w.output[1]; ++line) {
    for (int64_t l = 0; l < s.w.kernel[1]; ++l)
      lines[static_cast<size_t>(l)] = scratch + (line * s.w.stride[1] + l * s.w.dilation[1]) * layout.width;
    tier().filter_line({lines.data(), s.w.kernel[1], quads, s.w.stride[2], weights.data()}, width, sums);
    tier().correct(sums, width, {0, filters.sums[filter], nullptr, zeros});
    finish_line(sums, width, filter, plane * s.output + line * width - filter * result.stride, result);
  }
}

}  // namespace tandem::cpu
