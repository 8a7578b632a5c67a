// Conv (ONNX 1 to 22: only element types changed), tandem.FusedConv with a residual and an activation in the epilogue, and the
// two gradients tandem.ConvGradInput and tandem.ConvGradWeight.
//
//   FusedConv(x, w, bias?, residual?) = activation(conv(x, w) + bias + residual)
//   ConvGradInput(dy, w, like x), ConvGradWeight(dy, x, like w): the last input gives the shape only
//
// Those of this domain take `precision` (product_precision.h). Where operands are not rounded in each run, constant weights are packed when the plan is made.
#include "kernels/api/conv.h"
#include "kernels/api/packed_workspace.h"
#include "kernels/api/rounded_conv.h"

#include "runtime/graph/kept_panels.h"
#include "runtime/ops/activation.h"
#include "runtime/ops/conv_shape.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/product_precision.h"
#include "runtime/ops/symbolic.h"
#include "runtime/ops/window_attributes.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"};
constexpr std::string_view kFusedAttributes[] = {"auto_pad", "dilations",  "group",            "kernel_shape",    "pads",
                                                 "strides",  "activation", "activation_alpha", "activation_beta", kProductPrecision};
constexpr std::string_view kGradAttributes[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", kProductPrecision};
constexpr Alias kResidualInPlace[] = {{.input = 3, .output = 0}};

bool rounds(const NodeContext& node) {
  const bool is_rounded = rounds_operands(node);
  node.require(!is_rounded || node.get_int("group", 1) == 1, "a convolution with groups has no precision but that of its type");
  return is_rounded;
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  for (int i : {2, 3})
    if (node.has_input(i)) node.require_same_dtype(0, i);
  activation_of(node);
  rounds(node);
  if (!node.has_rank(0) || !node.has_rank(1)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims y = conv_dims(node, 1);
  check_conv_bias(node, 2, y[1]);
  if (node.has_input(3) && node.has_rank(3)) require_shape(node, 3, y);
  node.set_output(0, node.dtype(0), std::move(y));
}

// dx and dw have the type and shape of the input they are the gradient of, which is the last one.
void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  node.require_same_dtype(0, 2);
  WindowAttributes check(node);
  rounds(node);
  node.set_output_like(0, 2);
}

void gradient(GradientContext& node) {
  const ValueId x = node.input(0), w = node.input(1), dy = node.output_grad();
  const Attributes attributes = node.node().attributes;
  if (node.wants(0)) node.set_input_grad(0, node.emit_internal("ConvGradInput", {dy, w, x}, attributes));
  if (node.wants(1)) node.set_input_grad(1, node.emit_internal("ConvGradWeight", {dy, x, w}, attributes));
  if (!node.wants(2)) return;
  std::vector<int64_t> axes = {0};
  const auto& dims = node.type(x).dims;
  node.require(dims.has_value(), "the gradient needs an input of known rank");
  for (size_t i = 2; i < dims->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  node.set_input_grad(2, node.emit("ReduceSum", {dy, node.ints(axes)}, {{"keepdims", int64_t{0}}}));
}

ConvEpilogue epilogue_of(Inputs in, Activation activation) {
  return {.bias = in.size() > 2 ? in[2] : ConstTensorView{},
          .residual = in.size() > 3 ? in[3] : ConstTensorView{},
          .activation = activation};
}

// Of constant weights; none for one filter a channel, whose kernel reads them as they are, nor where they are rounded in each run.
cpu::PackedFilters packed_filters(const BindContext& node) {
  const int64_t groups = node.get_int("group", 1);
  if (!node.is_constant(1) || rounds(node) || (groups > 1 && node.shape(1)[1] == 1)) return {};
  const auto pack = [&](ConstTensorView weights) {
    Shape window = weights.shape;  // the layout does not hang on the image: the least that the kernel covers
    window.set(0, 1);
    window.set(1, checked_mul(weights.shape[1], groups, "channels"));
    return cpu::pack_filters(make_conv_geometry(window, weights.shape, groups, {}), weights);
  };
  return kept_or_packed<cpu::PackedFilters>(node, 1, "filters of " + std::to_string(groups), pack);
}
uint32_t pack(const BindContext& node) { return packed_filters(node) ? input_set(1) : 0; }

ConvWorkspace workspace_of(const BindContext& node, const PlannedConv& geometry) {
  return rounds(node) ? cpu::rounded_conv_workspace(geometry.planned(), node.threads())
                      : cpu::conv_workspace_bytes(geometry.planned(), node.dtype(0), node.threads());
}

BoundKernel bind(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(0), node.shape(1));
  const Activation activation = activation_of(node);
  const cpu::PackedFilters packed = packed_filters(node);
  const bool rounded = rounds(node);
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const ConvEpilogue epilogue = epilogue_of(in, activation);
    const ConvGeometry now = geometry.of(in[0].shape, in[1].shape);
    if (rounded)
      cpu::rounded_conv(context, now, in[0], in[1], out[0], epilogue);
    else if (packed)
      cpu::conv(context, now, in[0], packed, out[0], epilogue);
    else
      cpu::conv(context, now, in[0], in[1], out[0], epilogue);
  };
  return {.run = run,
          .workspace = packed ? cpu::conv_workspace_with_packed_filters(geometry.planned(), node.dtype(0), node.threads())
                              : workspace_of(node, geometry).forward};
}

// A GPU reads the weights as they are.
BoundKernel bind_cuda(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(0), node.shape(1));
  return {.run = [geometry, activation = activation_of(node)](const KernelContext& context, Inputs in, Outputs out) {
            cuda::conv(context, geometry.of(in[0].shape, in[1].shape), in[0], in[1], out[0], epilogue_of(in, activation));
          },
          .workspace = cuda::conv_workspace_bytes(geometry.planned(), node.dtype(0)).forward};
}

BoundKernel bind_input_grad(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(2), node.shape(1));
  const auto kernel = rounds(node) ? cpu::rounded_conv_input_grad : static_cast<decltype(&cpu::rounded_conv_input_grad)>(cpu::conv_input_grad);
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { kernel(context, geometry.of(in[2].shape, in[1].shape), in[1], in[0], out[0], cpu::chosen_isa()); },
          .workspace = workspace_of(node, geometry).input_grad};
}
BoundKernel bind_input_grad_cuda(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(2), node.shape(1));
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { cuda::conv_input_grad(context, geometry.of(in[2].shape, in[1].shape), in[1], in[0], out[0]); },
          .workspace = cuda::conv_workspace_bytes(geometry.planned(), node.dtype(0)).input_grad};
}

BoundKernel bind_weight_grad(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(1), node.shape(2));
  const auto kernel = rounds(node) ? cpu::rounded_conv_weight_grad : static_cast<decltype(&cpu::rounded_conv_weight_grad)>(cpu::conv_weight_grad);
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { kernel(context, geometry.of(in[1].shape, in[2].shape), in[1], in[0], out[0], cpu::chosen_isa()); },
          .workspace = workspace_of(node, geometry).weight_grad};
}
BoundKernel bind_weight_grad_cuda(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(1), node.shape(2));
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { cuda::conv_weight_grad(context, geometry.of(in[1].shape, in[2].shape), in[1], in[0], out[0]); },
          .workspace = cuda::conv_workspace_bytes(geometry.planned(), node.dtype(0)).weight_grad};
}

// Every output element, each a sum over the channels of its group and the kernel. All three passes have the same count.
double flops_of(const Shape& y, const Shape& w) {
  return 2.0 * static_cast<double>(y.elements()) * static_cast<double>(w.product(1, w.rank()));
}
double flops(const BindContext& node) { return flops_of(node.output_shape(0), node.shape(1)); }
double input_grad_flops(const BindContext& node) { return flops_of(node.shape(0), node.shape(1)); }
double weight_grad_flops(const BindContext& node) { return flops_of(node.shape(0), node.shape(2)); }

constexpr OpDef conv_op = {
    .name = "Conv",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
    .cuda = on_cuda(bind_cuda),
    .pack = pack,
    .flops = flops,
};

constexpr OpDef fused_conv_op = {
    .name = "FusedConv",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 4,
    .attributes = kFusedAttributes,
    .infer = infer,
    .cpu = bind,
    .cuda = on_cuda(bind_cuda),
    .pack = pack,
    .aliases = kResidualInPlace,
    .flops = flops,
};

constexpr OpDef conv_grad_input_op = {
    .name = "ConvGradInput",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_input_grad,
    .cuda = on_cuda(bind_input_grad_cuda),
    .shape_inputs = input_set(2),
    .flops = input_grad_flops,
};

constexpr OpDef conv_grad_weight_op = {
    .name = "ConvGradWeight",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_weight_grad,
    .cuda = on_cuda(bind_weight_grad_cuda),
    .shape_inputs = input_set(2),
    .flops = weight_grad_flops,
};

constexpr const OpDef* kOps[] = {&conv_op, &fused_conv_op, &conv_grad_input_op, &conv_grad_weight_op};

}  // namespace

extern const OpFamily conv_ops;
constinit const OpFamily conv_ops = kOps;

}  // namespace tandem
