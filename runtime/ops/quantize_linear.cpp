// QuantizeLinear and DequantizeLinear (ONNX 10 to 25): one scale, one an index of an axis (13), or one a block (21).
// DynamicQuantizeLinear (11) chooses the scale from the values. Arithmetic: kernels/api/quantize.h.
#include "kernels/api/quantize.h"

#include "kernels/base/dtype_families.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr std::string_view kQuantize[] = {"axis", "block_size", "output_dtype", "precision", "saturate"};
constexpr std::string_view kDequantize[] = {"axis", "block_size", "output_dtype"};

bool is_short_float(DType t) { return t == DType::kF32 || t == DType::kF16 || t == DType::kBF16; }
bool is_quantized(DType t) {
  const bool integer = t == DType::kU8 || t == DType::kI8 || t == DType::kU16 || t == DType::kI16;
  return integer || (is_narrow(t) && t != DType::kF8E8M0);
}

// The type that an attribute names; kUndefined if it is absent or 0.
DType type_attribute(const NodeContext& node, std::string_view name) {
  const int64_t type = node.get_int(name, 0);
  node.require(type >= 0 && type <= static_cast<int64_t>(DType::kI2), "attribute names no element type that there is", name,
               type);
  return static_cast<DType>(type);
}

QuantizationGrid grid_of(const NodeContext& node, const Shape& x, const Shape& scale) {
  return make_grid(x, scale, node.get_int("axis", 1), node.get_int("block_size", 0));
}

// Shapes as far as they are known; a zero point has the scale's.
void check_grid(const InferenceContext& node) {
  if (!node.has_rank(0) || !node.has_rank(1)) return;
  const auto x = fixed_shape(node.dims(0)), scale = fixed_shape(node.dims(1));
  if (x && scale) grid_of(node, *x, *scale);
  if (!node.has_input(2) || !node.has_rank(2) || !scale) return;
  const auto zero = fixed_shape(node.dims(2));
  node.require(!zero || zero->elements() == scale->elements(), "scale and zero point have different shapes", to_string(*scale),
               to_string(node.dims(2)));
}

std::optional<Dims> dims_of(const InferenceContext& node) {
  return node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt;
}

DType quantized_type(const InferenceContext& node) {
  const DType asked = type_attribute(node, "output_dtype");
  if (!node.has_input(2)) return asked == DType::kUndefined ? DType::kU8 : asked;
  node.require(asked == DType::kUndefined || asked == node.dtype(2), "output_dtype differs from the zero point's type",
               name(asked), name(node.dtype(2)));
  return node.dtype(2);
}

void infer_quantize(InferenceContext& node) {
  const DType x = node.dtype(0), scale = node.dtype(1), y = quantized_type(node), precision = type_attribute(node, "precision");
  node.require(is_short_float(x) || x == DType::kI32, "x must be f32, f16, bf16 or i32 (type)", name(x));
  node.require(is_short_float(scale) || scale == DType::kI32 || scale == DType::kF8E8M0,
               "the scale must be f32, f16, bf16, i32 or f8e8m0 (type)", name(scale));
  node.require(is_quantized(y), "values are quantized to integers of 2 to 16 bits, float8 and float4 (type)", name(y));
  node.require(precision == DType::kUndefined || is_short_float(precision), "precision must be f32, f16 or bf16",
               name(precision));
  check_grid(node);
  node.set_output(0, y, dims_of(node));
}

void infer_dequantize(InferenceContext& node) {
  const DType x = node.dtype(0), scale = node.dtype(1), asked = type_attribute(node, "output_dtype");
  const DType y = asked != DType::kUndefined ? asked : scale;
  node.require(is_quantized(x) || x == DType::kI32, "x must be an integer of 2 to 32 bits, float8 or float4 (type)", name(x));
  node.require(is_short_float(scale) || scale == DType::kF8E8M0, "the scale must be f32, f16, bf16 or f8e8m0 (type)",
               name(scale));
  node.require(is_short_float(y), "values are restored to f32, f16 or bf16: say output_dtype (type)", name(y));
  if (node.has_input(2)) node.require_same_dtype(0, 2);
  check_grid(node);
  node.set_output(0, y, dims_of(node));
}

BoundKernel bind_quantize(const BindContext& node) {
  const auto asked = static_cast<DType>(node.get_int("precision", 0));
  const DType precision = asked != DType::kUndefined ? asked : is_short_float(node.dtype(1)) ? node.dtype(1) : DType::kF32;
  return {.run = [own = Node(node.node()), options = cpu::QuantizeOptions{precision, node.get_int("saturate", 1) != 0}](
                     const KernelContext& context, Inputs in, Outputs out) {
    const QuantizationGrid grid = grid_of(NodeContext(own), in[0].shape, in[1].shape);
    cpu::quantize_linear(context, grid, in[0], in[1], in.size() > 2 ? in[2] : ConstTensorView{}, out[0], options);
  }};
}

BoundKernel bind_dequantize(const BindContext& node) {
  return {.run = [own = Node(node.node())](const KernelContext& context, Inputs in, Outputs out) {
    const QuantizationGrid grid = grid_of(NodeContext(own), in[0].shape, in[1].shape);
    cpu::dequantize_linear(context, grid, in[0], in[1], in.size() > 2 ? in[2] : ConstTensorView{}, out[0]);
  }};
}

void infer_dynamic(InferenceContext& node) {
  node.require_dtype(0, DType::kF32);
  node.set_output(0, DType::kU8, dims_of(node));
  node.set_output(1, DType::kF32, Dims{});
  node.set_output(2, DType::kU8, Dims{});
}
BoundKernel bind_dynamic(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    cpu::dynamic_quantize_linear(context, in[0], out[0], out[1], out[2]);
  }};
}

constexpr OpDef quantize_linear_op = {.name = "QuantizeLinear",
                                      .since = 10,
                                      .min_inputs = 2,
                                      .max_inputs = 3,
                                      .attributes = kQuantize,
                                      .infer = infer_quantize,
                                      .cpu = bind_quantize,
                                      .elements = Elements::kConverted};
constexpr OpDef dequantize_linear_op = {.name = "DequantizeLinear",
                                        .since = 10,
                                        .min_inputs = 2,
                                        .max_inputs = 3,
                                        .attributes = kDequantize,
                                        .infer = infer_dequantize,
                                        .cpu = bind_dequantize,
                                        .elements = Elements::kConverted};
constexpr OpDef dynamic_quantize_linear_op = {.name = "DynamicQuantizeLinear",
                                              .since = 11,
                                              .min_outputs = 3,
                                              .max_outputs = 3,
                                              .infer = infer_dynamic,
                                              .cpu = bind_dynamic};

constexpr const OpDef* kOps[] = {&quantize_linear_op, &dequantize_linear_op, &dynamic_quantize_linear_op};

}  // namespace

extern const OpFamily quantize_linear_ops;
constinit const OpFamily quantize_linear_ops = kOps;

}  // namespace tandem
