// The entry: operands checked, what zero points add worked into one seed a filter, and the choice of the way.
#include "kernels/api/integer_conv_channels_last.h"

#include <algorithm>

#include "kernels/base/block.h"
#include "kernels/cpu/integer_conv_panels.h"

namespace tandem::cpu {

size_t ChannelsLastIntegerFilters::bytes() const { return panels_ ? panels_->bytes : 0; }
const std::byte* ChannelsLastIntegerFilters::data() const { return panels_ ? panels_->memory.get() : nullptr; }
Isa ChannelsLastIntegerFilters::isa() const { return panels_ ? panels_->isa : Isa::kPortable; }

BlockResult result_at(const ChannelsLastProblem& p, int64_t pixel, int64_t filter) {
  const int64_t filters = p.s.groups * p.s.filters, at = pixel * filters + filter;
  BlockResult result;
  result.stride = filters;
  if (!p.scales) {
    result.sums = p.y.as<int32_t>().data() + at;
    return result;
  }
  result.quantized = p.y.data + at;
  result.scales = p.scales->from(filter);
  return result;
}

namespace {

constexpr int64_t kAlignment = 64;

void check_8_bits(std::string_view what, DType type) {
  require(type == DType::kU8 || type == DType::kI8, "an operand of an integer convolution must be u8 or i8", what, name(type));
}

// The batch, if both views fit.
int64_t check_images(const ConvGeometry& g, const Shape& x, const Shape& y) {
  const Window& w = g.window;
  const auto fits = [&](const Shape& shape, const Window::Sizes& sizes, int64_t channels) {
    if (shape.rank() != w.rank + 2 || shape[w.rank + 1] != channels || shape[0] != x[0]) return false;
    for (int i = 0; i < w.rank; ++i)
      if (shape[i + 1] != sizes[static_cast<size_t>(3 - w.rank + i)]) return false;
    return true;
  };
  ensure(fits(x, w.input, g.channels), "x does not fit the geometry of a channels-last convolution", to_string(x));
  ensure(fits(y, w.output, g.filters), "y does not fit the geometry of a channels-last convolution", to_string(y));
  return x[0];
}

int64_t seed_count(const ConvShape& s) {
  return is_channelwise(s) ? round_up(s.groups, kDepthwiseChannels) : s.groups * panel_columns(s);
}
int64_t thread_scratch(const ConvShape& s, const IntegerTier& tier) {
  return round_up(is_channelwise(s) ? channelwise_scratch(s) : std::max(patch_scratch(s, tier), strip_scratch(s, tier)), kAlignment);
}
int64_t seed_bytes(const ConvShape& s) { return round_up(seed_count(s) * static_cast<int64_t>(sizeof(int32_t)), kAlignment); }

// sum of (x - x_zero) (w - w_zero) less sum of x w, but for what depends on the pixel. Wraps as the sums do.
void make_seeds(const ConvShape& s, const IntegerFilterPanels& filters, int32_t x_zero, int32_t* seeds) {
  const auto zero = static_cast<uint32_t>(x_zero);
  const bool with_zeros = filters.has_zeros;
  for (int64_t i = 0; i < seed_count(s); ++i) {
    const uint32_t column_zero = with_zeros ? static_cast<uint32_t>(filters.zeros[i]) : 0;
    seeds[i] = static_cast<int32_t>(zero * (static_cast<uint32_t>(s.patch) * column_zero - static_cast<uint32_t>(filters.sums[i])));
  }
}

ResidualLines residual_lines(const IntegerTier& tier, const QuantizedResidual& r, TensorView y) {
  ResidualLines lines;
  lines.own = line_operand({{y.data, r.type, y.shape}, r.scale, r.zero}, 1), lines.other = line_operand(r.other, 1);
  lines.result = line_result(BinaryOp::kAdd, lines.own, lines.other, r.y_scale, static_cast<float>(r.y_zero), quantized_range(y.dtype));
  lines.combine = tier.combine;
  lines.result.exact_sum = r.quick;
  return lines;
}

}  // namespace

ChannelsLastIntegerFilters pack_integer_filters_channels_last(const ConvGeometry& geometry, ConstTensorView w,
                                                              ConstTensorView w_zero, Isa isa) {
  check_conv_weight(geometry, w.shape);
  check_8_bits("w", w.dtype);
  require(!w_zero || w_zero.dtype == w.dtype, "the zero point of w must have its type", name(w_zero.dtype), name(w.dtype));
  require(!w_zero || w_zero.elements() == 1 || w_zero.elements() == geometry.filters,
          "w has one zero point, or one a filter; the shape given", w_zero ? to_string(w_zero.shape) : "");
  const ConvShape s(geometry);
  auto panels = std::make_shared<IntegerFilterPanels>();
  panels->isa = isa;
  const auto pack = is_channelwise(s) ? pack_channel_filters : pack_patch_filters;
  pack(s, integer_tier(isa), w, w_zero, *panels);
  ChannelsLastIntegerFilters filters;
  filters.panels_ = std::move(panels);
  return filters;
}

QuickResidual quick_residual(const QuantizedResidual& residual, DType y_type, Isa isa) {
  const IntegerTier& tier = integer_tier(isa);
  return tier.block.find_quick ? tier.block.find_quick(residual_lines(tier, residual, {nullptr, y_type, {}})) : QuickResidual{};
}

size_t integer_conv_channels_last_workspace(const ConvGeometry& geometry, int threads, Isa isa) {
  const ConvShape s(geometry);
  return static_cast<size_t>(seed_bytes(s) + threads * thread_scratch(s, integer_tier(isa)));
}

void integer_conv_channels_last(const KernelContext& context, const ConvGeometry& geometry, ConstTensorView x,
                                ConstTensorView x_zero, const ChannelsLastIntegerFilters& filters, TensorView y,
                                const OutputScales* scales, const QuantizedResidual* residual) {
  check_8_bits("x", x.dtype);
  require(!x_zero || (x_zero.elements() == 1 && x_zero.dtype == x.dtype), "x has one zero point of its own type; the shape given",
          x_zero ? to_string(x_zero.shape) : "");
  const int64_t batch = check_images(geometry, x.shape, y.shape);
  if (y.elements() == 0) return;
  ensure(scales || y.dtype == DType::kI32, "sums of an integer convolution are i32", name(y.dtype));
  ensure(!residual || (scales && residual->other.x.shape == y.shape), "a residual wants bytes of the shape of y", to_string(y.shape));
  const IntegerFilterPanels& panels = *filters.panels_;
  const ConvShape s(geometry);
  const IntegerTier& tier = integer_tier(panels.isa);
  ensure(context.workspace.size() >= integer_conv_channels_last_workspace(geometry, context.threads, panels.isa),
         "the workspace of a channels-last integer convolution is too small", context.workspace.size());
  auto* seeds = reinterpret_cast<int32_t*>(context.workspace.data());
  std::byte* scratch = context.workspace.data() + seed_bytes(s);
  const std::byte zero = x_zero ? *x_zero.data : std::byte{0};
  const bool flipped = x.dtype == DType::kI8 && (is_channelwise(s) || !tier.block.signed_rows);
  make_seeds(s, panels, number_of(zero, x.dtype) + (flipped ? 128 : 0), seeds);
  ChannelsLastProblem problem = {s, tier, panels, x, zero, flipped, seeds, y, scales, batch};
  const ResidualLines lines = residual ? residual_lines(tier, *residual, y) : ResidualLines{};
  if (residual) problem.residual = &lines;
  const auto convolve = is_channelwise(s) ? convolve_channels : is_strip_convolution(problem) ? convolve_strips : convolve_patches;
  convolve(problem, context.threads, scratch);
}

}  // namespace tandem::cpu
