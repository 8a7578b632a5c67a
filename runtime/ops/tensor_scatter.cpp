// TensorScatter (ONNX 24): rows of a key or value cache are replaced, from a position of each batch on. In place where the plan
// allows.
//
// Gradient: that of the cache is dy with zeros where rows were replaced, that of the update is what dy has there.
#include "kernels/api/tensor_scatter.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis", "mode"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

int axis_of(const NodeContext& node, int rank) {
  const int axis = node.normalized_axis(node.get_int("axis", -2), rank);
  node.require(axis > 0, "axis must not be that of the batch", axis);
  return axis;
}

bool is_circular(const NodeContext& node) {
  const std::string mode = node.get_string("mode", "linear");
  node.require(mode == "linear" || mode == "circular", "mode must be linear or circular", mode);
  return mode == "circular";
}

void infer(InferenceContext& node) {
  is_circular(node);
  node.require_same_dtype(0, 1);
  if (node.has_input(2)) node.require_dtype(2, DType::kI64);
  if (node.has_rank(0) && node.has_rank(1)) {
    const Dims &cache = node.dims(0), &update = node.dims(1);
    const auto axis = static_cast<size_t>(axis_of(node, node.rank(0)));
    bool fits = cache.size() == update.size();
    for (size_t i = 0; fits && i < cache.size(); ++i)
      fits =
          i == axis ? !cache[i].known() || !update[i].known() || update[i].size <= cache[i].size : !differ(cache[i], update[i]);
    node.require(fits, "update must have the shape of the cache, but for a sequence of at most its length (cache, update)",
                 to_string(cache), to_string(update));
  }
  node.set_output_like(0, 0);
}

BoundKernel bind(const BindContext& node) {
  const int axis = axis_of(node, node.rank(0));
  const bool circular = is_circular(node);
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) {
    cpu::tensor_scatter(context, in[0], in[1], in.size() > 2 ? in[2] : ConstTensorView{}, axis, circular, out[0]);
  }};
}

// The size along an axis as a scalar.
ValueId size_of(GradientContext& node, ValueId x, int axis) {
  return node.emit("Gather", {shape_of(node, x), node.scalar(axis, DType::kI64)});
}

// Where each element of the update went along the axis: i64 in the update's shape.
ValueId positions(GradientContext& node, int axis) {
  const ValueId update = node.input(1), zero = node.scalar(0, DType::kI64), one = node.scalar(1, DType::kI64);
  ValueId rows = node.emit("Unsqueeze", {node.emit("Range", {zero, size_of(node, update, axis), one}), node.ints({0})});
  if (node.has_input(2)) rows = node.emit("Add", {rows, node.emit("Unsqueeze", {node.input(2), node.ints({1})})});
  if (is_circular(node)) rows = node.emit("Mod", {rows, size_of(node, node.input(0), axis)});
  std::vector<int64_t> others;  // `rows` is [batch, rows]
  for (int a = 1; a < rank_of(node, update); ++a)
    if (a != axis) others.push_back(a);
  if (!others.empty()) rows = node.emit("Unsqueeze", {rows, node.ints(others)});
  return node.emit("Expand", {rows, shape_of(node, update)});
}

void gradient(GradientContext& node) {
  const ValueId dy = node.output_grad();
  const int axis = axis_of(node, rank_of(node, node.input(1)));
  if (node.wants(0)) {
    const ValueId zero = node.scalar(0, node.type(dy).dtype);
    std::vector<ValueId> inputs = {dy, node.emit("Expand", {zero, shape_of(node, node.input(1))})};
    if (node.has_input(2)) inputs.push_back(node.input(2));
    node.set_input_grad(0, node.emit("TensorScatter", std::move(inputs), node.node().attributes));
  }
  if (node.wants(1))
    node.set_input_grad(1, node.emit("GatherElements", {dy, positions(node, axis)}, {{"axis", int64_t{axis}}}));
}

constexpr OpDef tensor_scatter_op = {
    .name = "TensorScatter",
    .since = 24,
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
    .elements = Elements::kMoved,
    .aliases = kInPlace,
};

constexpr const OpDef* kOps[] = {&tensor_scatter_op};

}  // namespace

extern const OpFamily tensor_scatter_ops;
constinit const OpFamily tensor_scatter_ops = kOps;

}  // namespace tandem
