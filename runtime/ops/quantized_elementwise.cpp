// Internal ops on quantized tensors, which a pass makes of DequantizeLinear, a function and QuantizeLinear:
//
//   tandem.ByteTable(x, table)                                             y[i] = table[x[i]], a constant of 256
//   tandem.QuantizedAdd, QuantizedMul(a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero)
//   tandem.QuantizedMean(x, x_scale, x_zero)    f32, over the pixels of images with channels last; attribute keepdims (1)
//
// with scales and zero points of one number. The same bits as the nodes they stand for; but a mean is that of the exact sum.
#include "kernels/api/quantized_elementwise.h"

#include "kernels/api/quantized_mean.h"
#include "runtime/ops/quantized_result.h"

namespace tandem {
namespace {

void infer_table(InferenceContext& node) {
  require_8_bits(node, 0);
  require_8_bits(node, 1);
  if (node.has_rank(1)) {
    const auto shape = fixed_shape(node.dims(1));
    node.require(!shape || *shape == Shape{256}, "the table must have 256 elements", to_string(node.dims(1)));
  }
  node.set_output(0, node.dtype(1), node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}
BoundKernel bind_table(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cpu::look_up(context, in[0], in[1], out[0]); }};
}

void infer_binary(InferenceContext& node) {
  for (const int i : {0, 3, 7}) require_8_bits(node, i);
  for (const int i : {1, 4, 6}) node.require_dtype(i, DType::kF32);
  require_zero_type(node, 2, 0);
  require_zero_type(node, 5, 3);
  node.set_output(0, node.dtype(7), node.broadcast_dims(0, 3));
}
QuantizedOperand operand(Inputs in, size_t i) { return {in[i], in[i + 1].as<float>()[0], zero_point(in[i + 2])}; }

// Found once, where scales and zero points are constant, and the image is no smaller than what the search looks at.
std::shared_ptr<const QuickProducts> quick_products_of(const BindContext& node) {
  constexpr int64_t kWorthASearch = 32 * 1024;
  if (node.output_shape(0).elements() < kWorthASearch) return nullptr;
  std::array<ConstTensorView, 8> in;
  for (const int i : {0, 3}) in[static_cast<size_t>(i)] = {nullptr, node.dtype(i), node.shape(i)};
  for (const int i : {1, 2, 4, 5, 6, 7}) {
    const Tensor* constant = node.constant(i);
    if (!constant) return nullptr;
    in[static_cast<size_t>(i)] = constant->view();
  }
  return cpu::quick_products(operand(in, 0), operand(in, 3), in[6].as<float>()[0], zero_point(in[7]), node.output_shape(0), node.dtype(7));
}

template <BinaryOp op>
BoundKernel bind_binary(const BindContext& node) {
  for (const int i : {1, 2, 4, 5, 6, 7})
    node.require(node.shape(i).elements() == 1, "scales and zero points must be one number (input)", i);
  const std::shared_ptr<const QuickProducts> products = op == BinaryOp::kMul ? quick_products_of(node) : nullptr;
  return {.run = [products](const KernelContext& context, Inputs in, Outputs out) {
    cpu::quantized_binary(context, op, operand(in, 0), operand(in, 3), in[6].as<float>()[0], zero_point(in[7]), out[0], products.get());
  }};
}

void infer_mean(InferenceContext& node) {
  require_8_bits(node, 0);
  node.require_dtype(1, DType::kF32);
  require_zero_type(node, 2, 0);
  if (!node.has_rank(0)) return node.set_output(0, DType::kF32, std::nullopt);
  Dims y = node.dims(0);
  node.require(y.size() >= 3, "input X must have a batch axis, pixels and channels", to_string(y));
  if (node.get_int("keepdims", 1) != 0)
    std::fill(y.begin() + 1, y.end() - 1, Dim(1));
  else
    y.erase(y.begin() + 1, y.end() - 1);
  node.set_output(0, DType::kF32, std::move(y));
}
BoundKernel bind_mean(const BindContext& node) {
  for (const int i : {1, 2}) node.require(node.shape(i).elements() == 1, "scale and zero point must be one number (input)", i);
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    cpu::quantized_mean(context, {in[0], in[1].as<float>()[0], zero_point(in[2])}, out[0]);
  }};
}

constexpr Alias kInPlace[] = {{0, 0}};
constexpr std::string_view kMeanAttributes[] = {"keepdims"};

constexpr OpDef byte_table_op = {.name = "ByteTable",
                                 .domain = "tandem",
                                 .min_inputs = 2,
                                 .max_inputs = 2,
                                 .infer = infer_table,
                                 .cpu = bind_table,
                                 .elements = Elements::kConverted,
                                 .aliases = kInPlace};
constexpr OpDef quantized(std::string_view name, BoundKernel (*bind)(const BindContext&)) {
  return {.name = name,
          .domain = "tandem",
          .min_inputs = 8,
          .max_inputs = 8,
          .infer = infer_binary,
          .cpu = bind,
          .elements = Elements::kConverted};
}
constexpr OpDef add_op = quantized("QuantizedAdd", bind_binary<BinaryOp::kAdd>);
constexpr OpDef mul_op = quantized("QuantizedMul", bind_binary<BinaryOp::kMul>);

constexpr OpDef mean_op = {.name = "QuantizedMean",
                           .domain = "tandem",
                           .min_inputs = 3,
                           .max_inputs = 3,
                           .attributes = kMeanAttributes,
                           .infer = infer_mean,
                           .cpu = bind_mean,
                           .elements = Elements::kConverted};

constexpr const OpDef* kOps[] = {&byte_table_op, &add_op, &mul_op, &mean_op};

}  // namespace

extern const OpFamily quantized_elementwise_ops;
constinit const OpFamily quantized_elementwise_ops = kOps;

}  // namespace tandem
