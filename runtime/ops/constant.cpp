// Values out of nothing: Constant, ConstantOfShape (ONNX 9) and Range (11). Constant has no CUDA twin: it is folded into the
// graph's constants before a plan is made.
#include <cmath>

#include "kernels/api/convert.h"
#include "kernels/api/movement.h"
#include "kernels/base/dtype_families.h"
#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/element_types.h"

namespace tandem {
namespace {

constexpr std::string_view kConstant[] = {"value",      "value_float",  "value_floats", "value_int",
                                          "value_ints", "value_string", "value_strings"};
constexpr std::string_view kValue[] = {"value"};

Tensor constant_of(const NodeContext& node) {
  const auto list = [](size_t n) { return Shape{static_cast<int64_t>(n)}; };
  node.require(node.node().attributes.size() == 1, "exactly one of the value attributes must be given",
               node.node().attributes.size());
  if (node.has_attribute("value")) return node.get_tensor("value");
  if (node.has_attribute("value_float")) return Tensor::scalar<float>(node.get_float("value_float", 0));
  if (node.has_attribute("value_int")) return Tensor::scalar<int64_t>(node.get_int("value_int", 0));
  if (node.has_attribute("value_floats")) {
    const std::vector<float> values = node.get_floats("value_floats");
    return Tensor::of<float>(list(values.size()), values);
  }
  if (node.has_attribute("value_ints")) {
    const std::vector<int64_t> values = node.get_ints("value_ints");
    return Tensor::of<int64_t>(list(values.size()), values);
  }
  const bool single = node.has_attribute("value_string");
  const std::vector<std::string> texts =
      single ? std::vector{node.get_string("value_string", "")} : node.get_strings("value_strings");
  return Tensor::strings(single ? Shape{} : list(texts.size()), std::span<const std::string>(texts));
}

void infer_constant(InferenceContext& node) {
  const Tensor value = constant_of(node);
  node.set_output(0, value.dtype(), to_dims(value.shape()));
  if (value.dtype() != DType::kI64 || value.shape().rank() > 1 || value.elements() > 1024) return;
  Dims content;
  for (int64_t number : value.as<int64_t>()) content.push_back(Dim(number));
  node.set_content(0, std::move(content));
}
BoundKernel bind_constant(const BindContext& node) {
  const Tensor value = constant_of(node);
  return {.run = [value](const KernelContext& context, Inputs, Outputs out) { cpu::copy(context, value.view(), out[0]); },
          .constant_bytes = value.bytes()};
}

// The element to fill with: 0.0f unless `value` says otherwise.
Tensor fill_of(const NodeContext& node) {
  if (!node.has_attribute("value")) return Tensor::scalar<float>(0);
  const Tensor value = node.get_tensor("value");
  node.require(value.elements() == 1, "value must be one element; its shape", to_string(value.shape()));
  return value;
}
void infer_constant_of_shape(InferenceContext& node) {
  node.require_dtype(0, DType::kI64);
  std::optional<Dims> dims = node.content(0);
  if (!dims && node.has_rank(0) && node.rank(0) == 1 && node.dims(0)[0].known())
    dims = Dims(static_cast<size_t>(node.dims(0)[0].size));
  node.set_output(0, fill_of(node).dtype(), std::move(dims));
}
template <auto kernel>
BoundKernel bind_constant_of_shape(const BindContext& node) {
  return {.run = [value = fill_of(node)](const KernelContext& context, Inputs, Outputs out) {
    kernel(context, value.view(), out[0]);
  }};
}

// Elements of Range: ceil((limit - start) / delta), at least 0.
template <class T>
int64_t range_length(const NodeContext& node, T start, T limit, T delta) {
  node.require(delta != T{0}, "delta is 0");
  const double exact = std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
  node.require(exact < 0x1p62, "the range is too long", exact);
  return exact > 0 ? static_cast<int64_t>(exact) : 0;
}

Dim range_size(const InferenceContext& node) {
  const Tensor* ends[] = {node.constant(0), node.constant(1), node.constant(2)};
  if (ends[0] && ends[1] && ends[2])
    return visit_convertible(node.dtype(0), [&]<class T>() {
      using Wide = std::conditional_t<std::is_integral_v<T>, T, double>;
      const auto value = [&](int i) { return convert<Wide>(ends[i]->as<T>()[0]); };
      return Dim(range_length<Wide>(node, value(0), value(1), value(2)));
    });
  Dim ends_known[3];
  for (int i = 0; i < 3; ++i) {
    const auto content = node.content(i);
    if (!content || content->size() != 1) return {};
    ends_known[i] = (*content)[0];
    if (!node.constant(i) && ends_known[i] == Dim()) return {};
  }
  const auto& [start, limit, delta] = ends_known;
  if (start.symbol.empty() && limit.symbol.empty() && delta.symbol.empty())
    return Dim(range_length<int64_t>(node, start.size, limit.size, delta.size));
  if (delta.size < 1 || (start.symbol.empty() && start.size < 0) || (limit.symbol.empty() && limit.size < 0)) return {};
  return ceil_quotient(clamped(difference(limit, start)), delta.size);
}

void infer_range(InferenceContext& node) {
  require_arithmetic(node, 0);
  for (int i = 0; i < 3; ++i) {
    node.require_same_dtype(0, i);
    if (const Tensor* value = node.constant(i))
      node.require(value->elements() == 1, "start, limit and delta must be scalars (input)", i);
  }
  node.set_output(0, node.dtype(0), Dims{range_size(node)});
}
template <auto kernel>
BoundKernel bind_range(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], in[2], out[0]); }};
}

constexpr OpDef constant_op = {
    .name = "Constant", .min_inputs = 0, .max_inputs = 0, .attributes = kConstant, .infer = infer_constant, .cpu = bind_constant, .elements = Elements::kMoved};
constexpr OpDef constant_of_shape_op = {.name = "ConstantOfShape",
                                        .since = 9,
                                        .attributes = kValue,
                                        .infer = infer_constant_of_shape,
                                        .cpu = bind_constant_of_shape<cpu::fill>,
                                        .cuda = on_cuda(bind_constant_of_shape<cuda::fill_with>),
                                        .shape_inputs = input_set(0),
                                        .elements = Elements::kMoved};
constexpr OpDef range_op = {.name = "Range",
                            .since = 11,
                            .min_inputs = 3,
                            .max_inputs = 3,
                            .infer = infer_range,
                            .cpu = bind_range<cpu::range>,
                            .cuda = on_cuda(bind_range<cuda::range>),
                            .shape_inputs = input_set(1)};

constexpr const OpDef* kOps[] = {&constant_op, &constant_of_shape_op, &range_op};

}  // namespace

extern const OpFamily constant_ops;
constinit const OpFamily constant_ops = kOps;

}  // namespace tandem
