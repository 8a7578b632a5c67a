// Convolutions of images whose channels come last, which the pass layout_assignment puts into plans for the CPU:
//
//   tandem.ChannelsLastConv(x, w, bias?, residual?)           as tandem.FusedConv, in f32
//   tandem.WinogradConv(x, w, bias?, residual?)               the same, by tiles of `tiles` x `tiles` outputs (runtime/plan/winograd.h)
//   tandem.Bf16ChannelsLastConv(x, w, bias?, residual?, scale?)   the same of x in bf16, with w and bias in f32, y in f32 or bf16, by `to`;
//       scale, f32 [batch or 1, 1..., channels], multiplies x first, rounded to bf16, where w is pointwise (channel_scale_fusion)
//   tandem.ChannelsLastQuantizedConv(x, x_scale, ...)         as tandem.QuantizedConv (quantized_result.h), and then, if there is
//       (..., other, other_scale, other_zero, sum_scale, sum_zero)   a residual, tandem.QuantizedAdd of its result and the other
//
// x, residual and y are [batch, spatial..., channels]; w is as in ONNX, a constant, packed once.
#include "kernels/api/bf16_conv.h"
#include "kernels/api/conv_channels_last.h"
#include "kernels/api/conv_winograd.h"
#include "kernels/api/integer_conv_channels_last.h"

#include "runtime/graph/kept_panels.h"
#include "runtime/ops/activation.h"
#include "runtime/ops/bf16_type.h"
#include "runtime/ops/channels_last.h"
#include "runtime/ops/conv_shape.h"
#include "runtime/ops/filter_layout.h"
#include "runtime/ops/quantized_result.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"activation",   "activation_alpha", "activation_beta", "auto_pad", "dilations", "group",
                                            "kernel_shape", "pads",             "strides"};
constexpr std::string_view kWinogradAttributes[] = {"activation", "activation_alpha", "activation_beta", "auto_pad", "dilations", "group",
                                                    "kernel_shape", "pads", "strides", "tiles"};
constexpr std::string_view kShortAttributes[] = {"activation",   "activation_alpha", "activation_beta", "auto_pad", "dilations", "group",
                                                 "kernel_shape", "pads",             "strides",         "to"};
constexpr std::string_view kQuantizedAttributes[] = {"auto_pad", "dilations", "group", "highest", "kernel_shape", "lowest", "pads", "strides"};
constexpr int kOther = 10, kSumZero = 14;  // inputs of a quantized residual
constexpr Alias kResidualInPlace[] = {{.input = 3, .output = 0}};

std::optional<Dims> output_dims(const InferenceContext& node, int w, int bias) {
  if (!node.has_rank(0) || !node.has_rank(w)) return std::nullopt;
  node.require(node.rank(0) >= 3, "input X must have 1 to 3 spatial axes", to_string(node.dims(0)));
  const Dims y = conv_dims(node, channels_first(node.dims(0)), w);
  check_conv_bias(node, bias, y[1]);
  return channels_last(y);
}

void infer(InferenceContext& node) {
  for (int i = 0; i < node.inputs(); ++i)
    if (node.has_input(i)) node.require_dtype(i, DType::kF32);
  activation_of(node);
  const auto y = output_dims(node, 1, 2);
  if (y && node.has_input(3) && node.has_rank(3)) require_shape(node, 3, *y);
  node.set_output(0, DType::kF32, y);
}

cpu::ChannelsLastFilters packed_filters(const BindContext& node) { return channels_last_filters(node, 1, filter_layout(node, 1)); }
uint32_t pack(const BindContext& node) {
  packed_filters(node);
  return input_set(1);
}

cpu::WinogradFilters packed_winograd_filters(const BindContext& node) {
  const int64_t tiles = node.get_int("tiles", 4);
  node.require(tiles == 2 || tiles == 4, "tiles must be 2 or 4", tiles);
  node.require(node.is_constant(1), "the weights must be a constant");
  FilterLayout layout = filter_layout(node, 1);
  node.require(cpu::has_winograd_form(layout.geometry), "Winograd wants a kernel of 3 x 3 at stride 1", to_string(node.shape(1)));
  layout.name += ", Winograd " + std::to_string(tiles);
  return kept_or_packed<cpu::WinogradFilters>(node, 1, layout.name, [&](ConstTensorView weights) {
    return cpu::pack_winograd_filters(layout.geometry, weights, static_cast<cpu::WinogradTiles>(tiles));
  });
}
uint32_t pack_winograd(const BindContext& node) {
  packed_winograd_filters(node);
  return input_set(1);
}

// `conv`: conv_channels_last or conv_winograd, whose filters these are.
template <class Filters>
auto runner(const BindContext& node, const PlannedConv& geometry, const Filters& filters,
            void (*conv)(const KernelContext&, const ConvGeometry&, ConstTensorView, const Filters&, TensorView, const ConvEpilogue&)) {
  return [=, activation = activation_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    const ConvEpilogue epilogue = {.bias = in.size() > 2 ? in[2] : ConstTensorView{},
                                   .residual = in.size() > 3 ? in[3] : ConstTensorView{},
                                   .activation = activation};
    conv(context, geometry.of(channels_first(in[0].shape), in[1].shape), in[0], filters, out[0], epilogue);
  };
}

BoundKernel bind(const BindContext& node) {
  const PlannedConv geometry(node, channels_first(node.shape(0)), node.shape(1));
  return {.run = runner(node, geometry, packed_filters(node), cpu::conv_channels_last),
          .workspace = cpu::conv_channels_last_workspace(geometry.planned(), node.threads())};
}

BoundKernel bind_winograd(const BindContext& node) {
  const PlannedConv geometry(node, channels_first(node.shape(0)), node.shape(1));
  const cpu::WinogradFilters filters = packed_winograd_filters(node);
  return {.run = runner(node, geometry, filters, cpu::conv_winograd),
          .workspace = cpu::conv_winograd_workspace(geometry.planned(), filters.tiles(), node.threads())};
}

// Factors of the image: one a channel, for each image or for all.
void require_image_scale(const InferenceContext& node, int i) {
  if (!node.has_input(i)) return;
  node.require_dtype(i, DType::kF32);
  if (!node.has_rank(i) || !node.has_rank(0)) return;
  const Dims &scale = node.dims(i), &x = node.dims(0);
  bool fits = scale.size() == x.size();
  for (size_t axis = 0; fits && axis < x.size(); ++axis) {
    const bool is_open = !scale[axis].known(), is_one = is_open || scale[axis] == Dim(1);
    const bool is_own = is_open || !x[axis].known() || scale[axis] == x[axis];
    fits = axis == 0 ? is_one || is_own : axis + 1 == x.size() ? is_own : is_one;
  }
  node.require(fits, "the scale must be one number a channel, for each image or for all", to_string(scale));
}

void infer_short(InferenceContext& node) {
  node.require_dtype(0, DType::kBF16);
  for (const int i : {1, 2})
    if (node.has_input(i)) node.require_dtype(i, DType::kF32);
  require_short(node, 3);
  require_image_scale(node, 4);
  activation_of(node);
  const auto y = output_dims(node, 1, 2);
  if (y && node.has_input(3) && node.has_rank(3)) require_shape(node, 3, *y);
  node.set_output(0, stored_type(node), y);
}

cpu::Bf16Filters packed_short_filters(const BindContext& node) {
  node.require(node.is_constant(1), "the weights must be a constant");
  const FilterLayout layout = filter_layout(node, 1);
  return kept_or_packed<cpu::Bf16Filters>(node, 1, "bf16 " + layout.name,
                                          [&](ConstTensorView weights) { return cpu::pack_bf16_filters(layout.geometry, weights); });
}
uint32_t pack_short(const BindContext& node) {
  packed_short_filters(node);
  return input_set(1);
}

BoundKernel bind_short(const BindContext& node) {
  const PlannedConv geometry(node, channels_first(node.shape(0)), node.shape(1));
  const Activation activation = activation_of(node);
  const cpu::Bf16Filters filters = packed_short_filters(node);
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const cpu::Bf16Epilogue epilogue = {.bias = in.size() > 2 ? in[2] : ConstTensorView{},
                                        .residual = in.size() > 3 ? in[3] : ConstTensorView{},
                                        .activation = activation};
    cpu::bf16_conv(context, geometry.of(channels_first(in[0].shape), in[1].shape), in[0], filters, out[0], epilogue,
                   in.size() > 4 ? in[4] : ConstTensorView{});
  };
  const bool scaled = node.has_input(4);
  node.require(!scaled || cpu::has_scaled_bf16_conv(geometry.planned()), "only pointwise convolutions scale their image", to_string(node.shape(1)));
  return {.run = run, .workspace = cpu::bf16_conv_workspace(geometry.planned(), node.threads(), cpu::chosen_isa(), scaled)};
}

void infer_quantized(InferenceContext& node) {
  require_quantized_operands(node);
  for (const int i : {1, 4, 6}) node.require_dtype(i, DType::kF32);
  const auto y = output_dims(node, 3, 8);
  if (node.inputs() <= kOther) return node.set_output(0, node.dtype(7), y);
  node.require(node.inputs() == kOther + 5, "a residual has five inputs (inputs of the node)", node.inputs());
  for (const int i : {kOther, kSumZero}) require_8_bits(node, i);
  for (const int i : {kOther + 1, kSumZero - 1}) node.require_dtype(i, DType::kF32);
  require_zero_type(node, kOther + 2, kOther);
  if (y && node.has_rank(kOther)) require_shape(node, kOther, *y);
  node.set_output(0, node.dtype(kSumZero), y);
}

QuantizedResidual residual_of(Inputs in) {
  const auto scale = [&](int i) { return in[static_cast<size_t>(i)].as<float>()[0]; };
  const auto zero = [&](int i) { return zero_point(in[static_cast<size_t>(i)]); };
  QuantizedResidual residual;
  residual.other = {in[kOther], scale(kOther + 1), zero(kOther + 2)};
  residual.type = in[7].dtype, residual.scale = scale(6), residual.zero = zero(7);
  residual.y_scale = scale(kSumZero - 1), residual.y_zero = zero(kSumZero);
  return residual;
}

// Found once, where all that the sum hangs on is constant.
QuickResidual quick_residual_of(const BindContext& node) {
  if (node.inputs() <= kOther) return {};
  std::vector<ConstTensorView> in(static_cast<size_t>(node.inputs()));
  in[kOther].dtype = node.dtype(kOther);
  for (const int i : {6, 7, kOther + 1, kOther + 2, kSumZero - 1, kSumZero}) {
    const Tensor* constant = node.constant(i);
    if (!constant) return {};
    in[static_cast<size_t>(i)] = constant->view();
  }
  return cpu::quick_residual(residual_of(in), in[kSumZero].dtype);
}

cpu::ChannelsLastIntegerFilters packed_integer_filters(const BindContext& node) {
  const Tensor* zero = node.has_input(5) ? node.constant(5) : nullptr;
  node.require(node.is_constant(3) && (zero || !node.has_input(5)), "the weights and their zero point must be constants");
  const ConstTensorView zeros = zero ? zero->view() : ConstTensorView{};
  FilterLayout layout = filter_layout(node, 3);
  layout.name += ", " + zero_text(zeros);
  return node.packed<cpu::ChannelsLastIntegerFilters>(
      3, layout.name, [&](ConstTensorView weights) { return cpu::pack_integer_filters_channels_last(layout.geometry, weights, zeros); });
}
uint32_t pack_quantized(const BindContext& node) {
  packed_integer_filters(node);
  return input_set(3);
}

BoundKernel bind_quantized(const BindContext& node) {
  const PlannedConv geometry(node, channels_first(node.shape(0)), node.shape(3));
  const QuantizedResult result(node, geometry.planned().filters);
  for (int i = kOther + 1; i < node.inputs(); ++i)
    node.require(node.shape(i).elements() == 1, "scales and zero points of a residual must be one number (input)", i);
  const cpu::ChannelsLastIntegerFilters filters = packed_integer_filters(node);
  const QuickResidual quick = quick_residual_of(node);
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    Pieces pieces(context);
    const OutputScales scales = result.scales(context, pieces, in);
    const bool has_residual = in.size() > static_cast<size_t>(kOther);
    QuantizedResidual residual = has_residual ? residual_of(in) : QuantizedResidual();
    residual.quick = quick;
    cpu::integer_conv_channels_last(pieces.rest_of(context), geometry.of(channels_first(in[0].shape), in[3].shape), in[0], in[2], filters,
                                    out[0], &scales, has_residual ? &residual : nullptr);
  };
  return {.run = run,
          .workspace = result.workspace() + cpu::integer_conv_channels_last_workspace(geometry.planned(), node.threads()),
          .constant_bytes = result.constant_bytes()};
}

// As Conv's, with w at its place.
template <int w>
double flops(const BindContext& node) {
  return 2.0 * static_cast<double>(node.output_shape(0).elements()) * static_cast<double>(node.shape(w).product(1, node.shape(w).rank()));
}

constexpr OpDef conv_op = {.name = "ChannelsLastConv",
                           .domain = "tandem",
                           .min_inputs = 2,
                           .max_inputs = 4,
                           .attributes = kAttributes,
                           .infer = infer,
                           .cpu = bind,
                           .pack = pack,
                           .aliases = kResidualInPlace,
                           .flops = flops<1>};

constexpr OpDef winograd_conv_op = {.name = "WinogradConv",
                                    .domain = "tandem",
                                    .min_inputs = 2,
                                    .max_inputs = 4,
                                    .attributes = kWinogradAttributes,
                                    .infer = infer,
                                    .cpu = bind_winograd,
                                    .pack = pack_winograd,
                                    .aliases = kResidualInPlace,
                                    .flops = flops<1>};

constexpr OpDef short_conv_op = {.name = "Bf16ChannelsLastConv",
                                 .domain = "tandem",
                                 .min_inputs = 2,
                                 .max_inputs = 5,
                                 .attributes = kShortAttributes,
                                 .infer = infer_short,
                                 .cpu = bind_short,
                                 .pack = pack_short,
                                 .elements = Elements::kConverted,
                                 .aliases = kResidualInPlace,
                                 .flops = flops<1>};

constexpr OpDef quantized_conv_op = {.name = "ChannelsLastQuantizedConv",
                                     .domain = "tandem",
                                     .min_inputs = 8,
                                     .max_inputs = 15,
                                     .attributes = kQuantizedAttributes,
                                     .infer = infer_quantized,
                                     .cpu = bind_quantized,
                                     .pack = pack_quantized,
                                     .flops = flops<3>};

constexpr const OpDef* kOps[] = {&conv_op, &short_conv_op, &winograd_conv_op, &quantized_conv_op};

}  // namespace

extern const OpFamily channels_last_conv_ops;
constinit const OpFamily channels_last_conv_ops = kOps;

}  // namespace tandem
