// onnxruntime's ops on quantized tensors (domain com.microsoft): QLinearAdd, QLinearMul, QLinearSigmoid, QLinearLeakyRelu,
// QLinearSoftmax, QLinearAveragePool, QLinearGlobalAveragePool, QLinearConcat.
//
// Each is DequantizeLinear of its operands, the op on f32, QuantizeLinear of the result: exactly that, with the f32 values in the
// workspace. Scales and zero points are one number each. Spec: docs/ContribOperators.md of onnxruntime.
#include <memory>
#include <type_traits>

#include "kernels/api/elementwise.h"
#include "kernels/api/movement.h"
#include "kernels/api/pool.h"
#include "kernels/api/quantize.h"
#include "kernels/api/softmax.h"
#include "runtime/ops/pool_window.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr int64_t kAlignment = 64;
constexpr std::string_view kAlpha[] = {"alpha"}, kAxis[] = {"axis"}, kSoftmax[] = {"axis", "opset"},
                           kGlobalPool[] = {"channels_last"};
constexpr std::string_view kPool[] = {"auto_pad",     "ceil_mode", "channels_last", "count_include_pad",
                                      "kernel_shape", "pads",      "strides"};

using Operands = std::span<const ConstTensorView>;  // in f32
using Compute = std::function<void(const KernelContext&, Operands, TensorView)>;

// Where among the inputs the operands are (each is followed by its scale and zero point), and the result's scale (then its zero
// point).
struct Layout {
  std::vector<int> operands;
  int result_scale;
};
Layout operands_first(int count) {
  Layout layout;
  for (int i = 0; i < count; ++i) layout.operands.push_back(3 * i);
  layout.result_scale = 3 * count;
  return layout;
}
// QLinearConcat(Y_scale, Y_zero_point, (X, X_scale, X_zero_point)...)
Layout result_first(const NodeContext& node) {
  Layout layout;
  for (int i = 2; i < node.inputs(); i += 3) layout.operands.push_back(i);
  layout.result_scale = 0;
  return layout;
}

DType quantized_type(const InferenceContext& node, const Layout& layout) {
  const auto check = [&](int i, int scale) {
    const DType type = node.dtype(i);
    node.require(type == DType::kU8 || type == DType::kI8, "input must be u8 or i8 (index, type)", i, name(type));
    node.require_dtype(scale, DType::kF32);
  };
  for (int i : layout.operands) {
    check(i, i + 1);
    if (node.has_input(i + 2)) node.require_same_dtype(i + 2, i);
  }
  const int zero = layout.result_scale + 1;
  if (!node.has_input(zero)) return node.dtype(layout.operands[0]);
  check(zero, layout.result_scale);
  return node.dtype(zero);
}

int64_t float_bytes(const Shape& shape) {
  return round_up(checked_mul(shape.elements(), int64_t{4}, "bytes of a tensor"), kAlignment);
}

size_t views_bytes(const Layout& layout) {
  static_assert(std::is_trivially_destructible_v<ConstTensorView>);
  return static_cast<size_t>(round_up(static_cast<int64_t>(layout.operands.size() * sizeof(ConstTensorView)), kAlignment));
}

// `workspace`: bytes that `compute` wants.
BoundKernel around(const BindContext& node, Layout layout, Compute compute, size_t workspace = 0) {
  int64_t bytes = float_bytes(node.output_shape(0)) + static_cast<int64_t>(views_bytes(layout));
  for (int i : layout.operands) bytes += float_bytes(node.shape(i));
  const auto run = [layout = std::move(layout), compute = std::move(compute)](const KernelContext& context, Inputs in,
                                                                              Outputs out) {
    const auto zero = [&](int scale) {
      return static_cast<size_t>(scale) + 1 < in.size() ? in[static_cast<size_t>(scale) + 1] : ConstTensorView{};
    };
    KernelContext rest = context;
    const auto take = [&](const Shape& shape) {
      const auto size = static_cast<size_t>(float_bytes(shape));
      const TensorView view = {rest.workspace.data(), DType::kF32, shape};
      rest.workspace = rest.workspace.subspan(size);
      return view;
    };
    auto* operands = reinterpret_cast<ConstTensorView*>(rest.workspace.data());
    rest.workspace = rest.workspace.subspan(views_bytes(layout));
    for (size_t k = 0; k < layout.operands.size(); ++k) {
      const auto i = static_cast<size_t>(layout.operands[k]);
      const TensorView wide = take(in[i].shape);
      cpu::dequantize_linear(context, make_grid(in[i].shape, in[i + 1].shape, 0, 0), in[i], in[i + 1],
                             zero(layout.operands[k] + 1), wide);
      std::construct_at(operands + k, wide);
    }
    const TensorView y = take(out[0].shape);
    compute(rest, {operands, layout.operands.size()}, y);
    const ConstTensorView scale = in[static_cast<size_t>(layout.result_scale)];
    cpu::quantize_linear(context, make_grid(y.shape, scale.shape, 0, 0), y, scale, zero(layout.result_scale), out[0]);
  };
  return {.run = run, .workspace = static_cast<size_t>(bytes) + workspace};
}

std::optional<Dims> dims_of(const InferenceContext& node, int i) {
  return node.has_rank(i) ? std::optional(node.dims(i)) : std::nullopt;
}

void infer_binary(InferenceContext& node) {
  node.set_output(0, quantized_type(node, operands_first(2)), node.broadcast_dims(0, 3));
}
template <BinaryOp op>
BoundKernel bind_binary(const BindContext& node) {
  return around(node, operands_first(2),
                [](const KernelContext& context, Operands x, TensorView y) { cpu::binary(context, op, x[0], x[1], y); });
}

void infer_unary(InferenceContext& node) { node.set_output(0, quantized_type(node, operands_first(1)), dims_of(node, 0)); }
template <UnaryOp op>
BoundKernel bind_unary(const BindContext& node) {
  const UnaryParameters parameters = {node.get_float("alpha", 0.01f)};
  return around(node, operands_first(1),
                [=](const KernelContext& context, Operands x, TensorView y) { cpu::unary(context, op, x[0], y, parameters); });
}

// Before opset 13 (attribute `opset`) the axes from `axis` on are one.
BoundKernel bind_softmax(const BindContext& node) {
  const bool along_axis = node.get_int("opset", 13) >= 13;
  const int axis = node.normalized_axis(node.get_int("axis", along_axis ? -1 : 1), node.rank(0));
  const auto view_of = [=](const Shape& shape) {
    return along_axis ? AxisView(shape, axis) : AxisView(Shape{shape.product(0, axis), shape.product(axis, shape.rank())}, 1);
  };
  return around(
      node, operands_first(1),
      [=](const KernelContext& context, Operands x, TensorView y) { cpu::softmax(context, x[0], y, view_of(y.shape)); },
      cpu::softmax_workspace(DType::kF32, view_of(node.shape(0)), node.threads()));
}

void require_channels_first(const NodeContext& node) {
  node.require(node.get_int("channels_last", 0) == 0,
               "channels_last = 1 is not supported: put a Transpose before and behind the node");
}
void infer_pool(InferenceContext& node) {
  require_channels_first(node);
  node.set_output(0, quantized_type(node, operands_first(1)), pool_dims(node));
}
BoundKernel bind_pool(const BindContext& node) {
  return around(node, operands_first(1),
                [window = PoolWindow(node, node.shape(0)), count_pad = node.get_int("count_include_pad", 0) != 0](
                    const KernelContext& context, Operands x, TensorView y) {
                  cpu::average_pool(context, window.of(x[0].shape), x[0], y, count_pad);
                });
}
void infer_global_pool(InferenceContext& node) {
  require_channels_first(node);
  auto dims = dims_of(node, 0);
  if (dims) node.require(dims->size() >= 2, "input must be [batch, channels, ...]", to_string(*dims));
  for (size_t i = 2; dims && i < dims->size(); ++i) (*dims)[i] = Dim(1);
  node.set_output(0, quantized_type(node, operands_first(1)), std::move(dims));
}
BoundKernel bind_global_pool(const BindContext& node) {
  return around(node, operands_first(1),
                [](const KernelContext& context, Operands x, TensorView y) { cpu::global_average_pool(context, x[0], y); });
}

void infer_concat(InferenceContext& node) {
  node.require(node.inputs() >= 5 && node.inputs() % 3 == 2,
               "inputs are a scale and a zero point, then three an operand (inputs)", node.inputs());
  const DType type = quantized_type(node, result_first(node));
  auto dims = dims_of(node, 2);
  if (!dims) return node.set_output(0, type, std::nullopt);
  Dim& length = (*dims)[static_cast<size_t>(node.normalized_axis(node.get_int("axis", 1), node.rank(2)))];
  for (int i = 5; i < node.inputs(); i += 3) {
    node.require(!node.has_rank(i) || node.rank(i) == node.rank(2), "inputs have different ranks (input)", i);
    const Dim more = node.has_rank(i) ? node.dims(i)[static_cast<size_t>(&length - dims->data())] : Dim();
    length = length.known() && more.known() ? Dim(checked_add(length.size, more.size, "concat")) : Dim();
  }
  node.set_output(0, type, std::move(dims));
}
BoundKernel bind_concat(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", 1), node.rank(2));
  return around(node, result_first(node),
                [axis](const KernelContext& context, Operands x, TensorView y) { cpu::concat(context, x, axis, y); });
}

using Rule = void (*)(InferenceContext&);
using Bind = BoundKernel (*)(const BindContext&);
constexpr OpDef qlinear(std::string_view name, int inputs, Rule infer, Bind bind,
                        std::span<const std::string_view> attributes = {}) {
  return {.name = name,
          .domain = "com.microsoft",
          .min_inputs = inputs == kVariadic ? 5 : inputs - 1,  // the last zero point may be absent
          .max_inputs = inputs,
          .attributes = attributes,
          .infer = infer,
          .cpu = bind};
}

constexpr OpDef add_op = qlinear("QLinearAdd", 8, infer_binary, bind_binary<BinaryOp::kAdd>);
constexpr OpDef mul_op = qlinear("QLinearMul", 8, infer_binary, bind_binary<BinaryOp::kMul>);
constexpr OpDef sigmoid_op = qlinear("QLinearSigmoid", 5, infer_unary, bind_unary<UnaryOp::kSigmoid>);
constexpr OpDef leaky_relu_op = qlinear("QLinearLeakyRelu", 5, infer_unary, bind_unary<UnaryOp::kLeakyRelu>, kAlpha);
constexpr OpDef softmax_op = qlinear("QLinearSoftmax", 5, infer_unary, bind_softmax, kSoftmax);
constexpr OpDef average_pool_op = qlinear("QLinearAveragePool", 5, infer_pool, bind_pool, kPool);
constexpr OpDef global_average_pool_op = qlinear("QLinearGlobalAveragePool", 5, infer_global_pool, bind_global_pool, kGlobalPool);
constexpr OpDef concat_op = qlinear("QLinearConcat", kVariadic, infer_concat, bind_concat, kAxis);

constexpr const OpDef* kOps[] = {
    &add_op, &mul_op, &sigmoid_op, &leaky_relu_op, &softmax_op, &average_pool_op, &global_average_pool_op, &concat_op};

}  // namespace

extern const OpFamily qlinear_ops;
constinit const OpFamily qlinear_ops = kOps;

}  // namespace tandem
