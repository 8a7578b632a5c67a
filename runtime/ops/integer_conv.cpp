// Convolutions of 8-bit integers (ONNX 10): ConvInteger with i32 results, QLinearConv back to 8 bits.
#include "kernels/api/integer_products.h"

#include "runtime/ops/conv_shape.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"};

void require_8_bits(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(type == DType::kU8 || type == DType::kI8, "input must be u8 or i8 (index, type)", input, name(type));
}

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

BoundKernel bind_conv_integer(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(0), node.shape(1));
  return {.run =
              [geometry](const KernelContext& context, Inputs in, Outputs out) {
                const auto zero = [&](size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; };
                cpu::integer_conv(context, geometry.of(in[0].shape, in[1].shape), in[0], zero(2), in[1], zero(3), out[0]);
              },
          .workspace = cpu::integer_conv_workspace_bytes(geometry.planned(), node.threads())};
}

// QLinearConv(x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B?)
void infer_qlinear_conv(InferenceContext& node) {
  for (int i : {0, 3, 7}) require_8_bits(node, i);
  for (int i : {1, 4, 6}) node.require_dtype(i, DType::kF32);
  node.require_same_dtype(2, 0);
  node.require_same_dtype(5, 3);
  if (node.has_input(8)) node.require_dtype(8, DType::kI32);
  set_dims(node, 3, 8, node.dtype(7));
}

BoundKernel bind_qlinear_conv(const BindContext& node) {
  const PlannedConv geometry(node, node.shape(0), node.shape(3));
  for (int i : {1, 2, 6, 7})
    node.require(node.shape(i).elements() == 1, "scale and zero point of X and Y must be one number (input)", i);
  const int64_t scales = node.shape(4).elements();
  node.require(scales == 1 || scales == geometry.planned().filters, "the weight's scale must be one number, or one a filter",
               scales);
  const size_t sums = static_cast<size_t>(round_up(node.output_shape(0).elements() * 4, 64)),
               filters = static_cast<size_t>(round_up(scales * 4, 64));
  return {.run =
              [geometry, sums, filters](const KernelContext& context, Inputs in, Outputs out) {
                const ConvGeometry g = geometry.of(in[0].shape, in[3].shape);
                KernelContext rest = context;
                rest.workspace = context.workspace.subspan(sums + filters);
                const TensorView y = {context.workspace.data(), DType::kI32, out[0].shape};
                cpu::integer_conv(rest, g, in[0], in[2], in[3], in[5], y);
                const auto w_scale = in[4].as<float>();
                const float x_scale = in[1].as<float>()[0], one = 1;
                auto* scale = reinterpret_cast<float*>(context.workspace.data() + sums);
                for (size_t f = 0; f < w_scale.size(); ++f) scale[f] = x_scale * w_scale[f];
                const auto zero = static_cast<uint8_t>(in[7].data[0]);
                const int64_t rows = out[0].shape[0] * g.filters, columns = rows > 0 ? y.elements() / rows : 0;
                cpu::requantize(context, y.as<int32_t>().data(), rows, columns, {scale, in[4].elements(), &one},
                                in.size() > 8 ? in[8] : ConstTensorView{}, in[6].as<float>()[0],
                                in[7].dtype == DType::kI8 ? static_cast<int8_t>(zero) : zero, out[0]);
              },
          .workspace = sums + filters + cpu::integer_conv_workspace_bytes(geometry.planned(), node.threads())};
}

constexpr OpDef conv_integer_op = {.name = "ConvInteger",
                                   .since = 10,
                                   .min_inputs = 2,
                                   .max_inputs = 4,
                                   .attributes = kAttributes,
                                   .infer = infer_conv_integer,
                                   .cpu = bind_conv_integer};
constexpr OpDef qlinear_conv_op = {.name = "QLinearConv",
                                   .since = 10,
                                   .min_inputs = 8,
                                   .max_inputs = 9,
                                   .attributes = kAttributes,
                                   .infer = infer_qlinear_conv,
                                   .cpu = bind_qlinear_conv};

constexpr const OpDef* kOps[] = {&conv_integer_op, &qlinear_conv_op};

}  // namespace

extern const OpFamily integer_conv_ops;
constinit const OpFamily integer_conv_ops = kOps;

}  // namespace tandem
