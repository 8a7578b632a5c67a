// Winograd convolutions of planes by weights that change, which runtime/plan/winograd.h puts into plans for the CPU in place of direct ones:
//
//   tandem.WinogradPlanesConv(x, w, bias?)             as tandem.FusedConv without a residual, by tiles of `tiles` x `tiles` outputs
//   tandem.WinogradPlanesGradInput(dy, w, like x)      as tandem.ConvGradInput
//   tandem.WinogradPlanesGradWeight(dy, x, like w)     as tandem.ConvGradWeight
//
// f32, 3 x 3 at stride 1, without groups (kernels/api/conv_winograd_planes.h). Nothing is rounded to bf16, whatever the convolution's precision was.
#include "kernels/api/conv_winograd_planes.h"

#include "runtime/ops/activation.h"
#include "runtime/ops/conv_shape.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"auto_pad", "dilations",  "group",            "kernel_shape",    "pads",
                                            "strides",  "activation", "activation_alpha", "activation_beta", "tiles"};
constexpr std::string_view kGradAttributes[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", "tiles"};

void infer(InferenceContext& node) {
  for (int i = 0; i < node.inputs(); ++i)
    if (node.has_input(i)) node.require_dtype(i, DType::kF32);
  activation_of(node);
  if (!node.has_rank(0) || !node.has_rank(1)) return node.set_output(0, DType::kF32, std::nullopt);
  Dims y = conv_dims(node, 1);
  check_conv_bias(node, 2, y[1]);
  node.set_output(0, DType::kF32, std::move(y));
}

void infer_grad(InferenceContext& node) {
  for (int i = 0; i < 3; ++i) node.require_dtype(i, DType::kF32);
  WindowAttributes check(node);
  node.set_output_like(0, 2);
}

// The convolution, given its x and w, and its tiles.
struct WinogradPlanes {
  PlannedConv geometry;
  cpu::WinogradTiles tiles;

  WinogradPlanes(const BindContext& node, const Shape& x, const Shape& w)
      : geometry(node, x, w), tiles(static_cast<cpu::WinogradTiles>(node.get_int("tiles", 4))) {
    node.require(tiles == cpu::WinogradTiles::kTwo || tiles == cpu::WinogradTiles::kFour, "tiles must be 2 or 4", node.get_int("tiles", 4));
    node.require(cpu::has_winograd_form(geometry.planned()), "Winograd wants a kernel of 3 x 3 at stride 1, without groups", to_string(w));
  }
  ConvWorkspace workspace(const BindContext& node) const { return cpu::winograd_planes_workspace(geometry.planned(), tiles, node.threads()); }
};

BoundKernel bind(const BindContext& node) {
  const WinogradPlanes conv(node, node.shape(0), node.shape(1));
  return {.run = [conv, activation = activation_of(node)](const KernelContext& context, Inputs in, Outputs out) {
            const ConvEpilogue epilogue = {.bias = in.size() > 2 ? in[2] : ConstTensorView{}, .activation = activation};
            cpu::winograd_planes_conv(context, conv.geometry.of(in[0].shape, in[1].shape), in[0], in[1], out[0], conv.tiles, epilogue);
          },
          .workspace = conv.workspace(node).forward};
}

BoundKernel bind_input_grad(const BindContext& node) {
  const WinogradPlanes conv(node, node.shape(2), node.shape(1));
  return {.run = [conv](const KernelContext& context, Inputs in, Outputs out) {
            cpu::winograd_planes_input_grad(context, conv.geometry.of(in[2].shape, in[1].shape), in[1], in[0], out[0], conv.tiles);
          },
          .workspace = conv.workspace(node).input_grad};
}

BoundKernel bind_weight_grad(const BindContext& node) {
  const WinogradPlanes conv(node, node.shape(1), node.shape(2));
  return {.run = [conv](const KernelContext& context, Inputs in, Outputs out) {
            cpu::winograd_planes_weight_grad(context, conv.geometry.of(in[1].shape, in[2].shape), in[1], in[0], out[0], conv.tiles);
          },
          .workspace = conv.workspace(node).weight_grad};
}

// Of direct sums, as for every convolution, so that shares of the ceiling can be compared.
double flops_of(const Shape& y, const Shape& w) { return 2.0 * static_cast<double>(y.elements()) * static_cast<double>(w.product(1, w.rank())); }
double flops(const BindContext& node) { return flops_of(node.output_shape(0), node.shape(1)); }
double input_grad_flops(const BindContext& node) { return flops_of(node.shape(0), node.shape(1)); }
double weight_grad_flops(const BindContext& node) { return flops_of(node.shape(0), node.shape(2)); }

constexpr OpDef winograd_planes_conv_op = {
    .name = "WinogradPlanesConv",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .cpu = bind,
    .flops = flops,
};

constexpr OpDef winograd_planes_grad_input_op = {
    .name = "WinogradPlanesGradInput",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_input_grad,
    .shape_inputs = input_set(2),
    .flops = input_grad_flops,
};

constexpr OpDef winograd_planes_grad_weight_op = {
    .name = "WinogradPlanesGradWeight",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_weight_grad,
    .shape_inputs = input_set(2),
    .flops = weight_grad_flops,
};

constexpr const OpDef* kOps[] = {&winograd_planes_conv_op, &winograd_planes_grad_input_op, &winograd_planes_grad_weight_op};

}  // namespace

extern const OpFamily winograd_planes_ops;
constinit const OpFamily winograd_planes_ops = kOps;

}  // namespace tandem
