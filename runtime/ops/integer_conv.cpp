// Convolutions of 8-bit integers (ONNX 10): ConvInteger with i32 results, QLinearConv back to 8 bits; tandem.QuantizedConv is
// QLinearConv with any bias and a clamp (quantized_result.h). Constant filters are packed when the plan is made.
#include "kernels/api/integer_products.h"

#include "runtime/ops/conv_shape.h"
#include "runtime/ops/quantized_result.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"};
constexpr std::string_view kQuantizedAttributes[] = {"auto_pad",     "dilations", "group", "highest",
                                                     "kernel_shape", "lowest",    "pads",  "strides"};

void set_dims(InferenceContext& node, int w, int bias, DType type) {
  if (!node.has_rank(0) || !node.has_rank(w)) return node.set_output(0, type, std::nullopt);
  Dims y = conv_dims(node, w);
  check_conv_bias(node, bias, y[1]);
  node.set_output(0, type, std::move(y));
}

void infer_conv_integer(InferenceContext& node) {
  for (int i : {0, 1}) {
    require_8_bits(node, i);
    if (node.has_input(2 + i)) node.require_same_dtype(2 + i, i);
  }
  set_dims(node, 1, 4, DType::kI32);
}

// The filters of input w: packed once if they and their zero points are constants, else in every run, in the workspace.
class Filters {
 public:
  Filters(const BindContext& node, const PlannedConv& geometry, int w, int zero) : geometry_(geometry), w_(w), zero_(zero) {
    const Tensor *weights = node.constant(w), *zeros = node.has_input(zero) ? node.constant(zero) : nullptr;
    if (weights && (zeros || !node.has_input(zero)))
      packed_ = packed(node, geometry, w, zeros ? zeros->view() : ConstTensorView{});
    workspace_ = cpu::integer_conv_workspace_bytes(geometry.planned(), node.threads());
    if (!packed_) workspace_ += cpu::integer_conv_filter_bytes(geometry.planned());
  }
  size_t workspace() const { return workspace_; }

  void convolve(const KernelContext& context, Inputs in, ConstTensorView x_zero, TensorView y, const OutputScales* scales) const {
    const ConstTensorView w = in[static_cast<size_t>(w_)];
    const ConvGeometry geometry = geometry_.of(in[0].shape, w.shape);
    if (packed_) return cpu::integer_conv(context, geometry, in[0], x_zero, packed_.view(), y, scales);
    const auto zero = static_cast<size_t>(zero_);
    cpu::integer_conv(context, geometry, in[0], x_zero, w, zero < in.size() ? in[zero] : ConstTensorView{}, y, scales);
  }

 private:
  static cpu::PackedWeight packed(const BindContext& node, const PlannedConv& geometry, int w, ConstTensorView zeros) {
    return node.packed<cpu::PackedWeight>(w, "integer filters of " + std::to_string(node.get_int("group", 1)) + ", " + zero_text(zeros), [&](ConstTensorView weights) {
      return cpu::pack_integer_filters(geometry.planned(), weights, zeros);
    });
  }

  PlannedConv geometry_;
  int w_, zero_;
  cpu::PackedWeight packed_;
  size_t workspace_;
};

BoundKernel bind_conv_integer(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(0), node.shape(1));
  const Filters filters(node, geometry, 1, 3);
  return {.run = [filters](
                     const KernelContext& context, Inputs in,
                     Outputs out) { filters.convolve(context, in, in.size() > 2 ? in[2] : ConstTensorView{}, out[0], nullptr); },
          .workspace = filters.workspace()};
}

// QLinearConv(x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B?)
void infer_qlinear_conv(InferenceContext& node) {
  require_quantized_operands(node);
  for (const int i : {1, 4, 6}) node.require_dtype(i, DType::kF32);
  set_dims(node, 3, 8, node.dtype(7));
}

BoundKernel bind_qlinear_conv(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(0), node.shape(3));
  const QuantizedResult result(node, geometry.planned().filters);
  const Filters filters(node, geometry, 3, 5);
  return {.run =
              [filters, result](const KernelContext& context, Inputs in, Outputs out) {
                Pieces pieces(context);
                const OutputScales scales = result.scales(context, pieces, in);
                filters.convolve(pieces.rest_of(context), in, in[2], out[0], &scales);
              },
          .workspace = result.workspace() + filters.workspace(),
          .constant_bytes = result.constant_bytes()};
}

// As Conv's, with w at another place.
double conv_flops(const BindContext& node, int w) {
  const Shape& filters = node.shape(w);
  return 2.0 * static_cast<double>(node.output_shape(0).elements()) * static_cast<double>(filters.product(1, filters.rank()));
}

constexpr OpDef conv_integer_op = {.name = "ConvInteger",
                                   .since = 10,
                                   .min_inputs = 2,
                                   .max_inputs = 4,
                                   .attributes = kAttributes,
                                   .infer = infer_conv_integer,
                                   .cpu = bind_conv_integer,
                                   .flops = [](const BindContext& node) { return conv_flops(node, 1); }};
constexpr OpDef qlinear_conv_op = {.name = "QLinearConv",
                                   .since = 10,
                                   .min_inputs = 8,
                                   .max_inputs = 9,
                                   .attributes = kAttributes,
                                   .infer = infer_qlinear_conv,
                                   .cpu = bind_qlinear_conv,
                                   .flops = [](const BindContext& node) { return conv_flops(node, 3); }};
constexpr OpDef quantized_conv_op = {.name = "QuantizedConv",
                                     .domain = "tandem",
                                     .min_inputs = 8,
                                     .max_inputs = 10,
                                     .attributes = kQuantizedAttributes,
                                     .infer = infer_qlinear_conv,
                                     .cpu = bind_qlinear_conv,
                                     .flops = [](const BindContext& node) { return conv_flops(node, 3); }};

constexpr const OpDef* kOps[] = {&conv_integer_op, &qlinear_conv_op, &quantized_conv_op};

}  // namespace

extern const OpFamily integer_conv_ops;
constinit const OpFamily integer_conv_ops = kOps;

}  // namespace tandem
