// Reductions. The axes are an attribute in old versions and an input in new ones (ReduceSum: 13; the others: 18).
//
// An axes input may be computed by the graph; it is read on every run. Max and Min share the gradient equally among the elements
// that hold the extremum. Prod's goes axis by axis, so that zeros do no harm.
#include "kernels/api/reduce.h"

#include <utility>

#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAxesAttributes[] = {"axes", "keepdims"};
constexpr std::string_view kInputAttributes[] = {"keepdims", "noop_with_empty_axes"};

// No axes mean all of them, or with noop_with_empty_axes none.
AxisMask mask_of(const NodeContext& node, std::span<const int64_t> axes, int rank) {
  if (!axes.empty()) return axis_mask(node, axes, rank);
  return node.get_int("noop_with_empty_axes", 0) ? 0 : (AxisMask{1} << rank) - 1;
}

std::optional<std::vector<int64_t>> known_axes(const InferenceContext& node) {
  return node.has_input(1) ? known_indices(node, 1) : node.get_ints("axes");
}

void infer(InferenceContext& node) {
  if (node.has_input(1)) require_index(node, 1);
  const bool keep = node.get_int("keepdims", 1) != 0;
  const auto axes = known_axes(node);
  if (!node.has_rank(0) || (!axes && !keep)) return node.set_output(0, node.dtype(0), std::nullopt);
  if (!axes) return node.set_output(0, node.dtype(0), Dims(node.dims(0).size()));
  const AxisMask mask = mask_of(node, *axes, node.rank(0));
  Dims dims;
  for (int i = 0; i < node.rank(0); ++i) {
    const bool reduced = mask >> i & 1;
    if (!reduced)
      dims.push_back(node.dims(0)[static_cast<size_t>(i)]);
    else if (keep)
      dims.push_back(Dim(1));
  }
  node.set_output(0, node.dtype(0), std::move(dims));
}

// What the kernels of each op take.
void infer_extremum(InferenceContext& node) {
  if (node.dtype(0) != DType::kBool) require_arithmetic(node, 0);
  infer(node);
}
void infer_sum(InferenceContext& node) {
  const DType t = node.dtype(0);
  node.require(is_float(t) || (is_integer(t) && size_of(t) >= 4), "input must be a float, i32, i64, u32 or u64 (type)", name(t));
  infer(node);
}
void infer_log(InferenceContext& node) {
  require_float(node, 0);
  infer(node);
}

using ReduceKernel = void (*)(const KernelContext&, ReduceOp, ConstTensorView, TensorView, AxisMask);
using Workspace = size_t (*)(const Shape&);

size_t no_workspace(const Shape&) { return 0; }

template <ReduceOp op, ReduceKernel kernel, Workspace workspace>
BoundKernel bind(const BindContext& node) {
  BoundKernel bound{.run = {}, .workspace = workspace(node.shape(0))};
  if (node.has_input(1)) {
    bound.run = [own = Node(node.node())](const KernelContext& context, Inputs in, Outputs out) {
      kernel(context, op, in[0], out[0], mask_of(NodeContext(own), IndexList(in[1]), in[0].shape.rank()));
    };
  } else {
    const AxisMask mask = mask_of(node, node.get_ints("axes"), node.rank(0));
    bound.run = [mask](const KernelContext& context, Inputs in, Outputs out) { kernel(context, op, in[0], out[0], mask); };
  }
  return bound;
}

// The axes in force. Throws if the graph computes them.
std::vector<int64_t> axes_of(GradientContext& node) {
  std::vector<int64_t> axes = node.get_ints("axes");
  if (node.has_input(1)) {
    const Value& value = node.graph().value(node.input(1));
    node.require(value.kind == ValueKind::kConstant, "the gradient needs constant axes", value.name);
    const IndexList list(std::as_const(value.data).view());
    axes.assign(list.first(list.size()).begin(), list.first(list.size()).end());
  }
  const int rank = rank_of(node, node.input(0));
  const AxisMask mask = mask_of(node, axes, rank);
  axes.clear();
  for (int i = 0; i < rank; ++i)
    if (mask >> i & 1) axes.push_back(i);
  return axes;
}

// `value`, of the output's shape, with the reduced axes as 1s.
ValueId kept(GradientContext& node, ValueId value) {
  if (node.get_int("keepdims", 1)) return value;
  const std::vector<int64_t> axes = axes_of(node);
  return axes.empty() ? value : node.emit("Unsqueeze", {value, node.ints(axes)});
}
ValueId kept_grad(GradientContext& node) { return kept(node, node.output_grad()); }
ValueId kept_output(GradientContext& node) { return kept(node, node.output(0)); }
DType dtype_of_input(GradientContext& node) { return node.type(node.input(0)).dtype; }

// How many elements each output element was made of, as a scalar of the input's type.
ValueId reduced_count(GradientContext& node) {
  Dims reduced;
  for (int64_t axis : axes_of(node)) reduced.push_back((*node.type(node.input(0)).dims)[static_cast<size_t>(axis)]);
  if (const Dim count = product(reduced); count.known())
    return node.scalar(static_cast<double>(count.size), dtype_of_input(node));
  const ValueId count = node.emit("Div", {node.emit("Size", {node.input(0)}), node.emit("Size", {node.output(0)})});
  return node.emit("Cast", {count}, {{"to", static_cast<int64_t>(dtype_of_input(node))}});
}

void sum_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("Expand", {kept_grad(node), shape_of(node, node.input(0))}));
}
void mean_gradient(GradientContext& node) {
  const ValueId share = node.emit("Div", {kept_grad(node), reduced_count(node)});
  node.set_input_grad(0, node.emit("Expand", {share, shape_of(node, node.input(0))}));
}
void extremum_gradient(GradientContext& node) {
  const ValueId holds = node.emit("Cast", {node.emit("Equal", {node.input(0), kept_output(node)})},
                                  {{"to", static_cast<int64_t>(dtype_of_input(node))}});
  const std::vector<int64_t> axes = axes_of(node);
  const ValueId count = node.emit("ReduceSum", {holds, node.ints(axes)}, {{"noop_with_empty_axes", int64_t{1}}});
  node.set_input_grad(0, node.emit("Mul", {holds, node.emit("Div", {kept_grad(node), count})}));
}
void product_gradient(GradientContext& node) {
  const std::vector<int64_t> axes = axes_of(node);
  std::vector<ValueId> before = {node.input(0)};  // what each axis' product was taken of
  for (size_t i = 0; i + 1 < axes.size(); ++i) before.push_back(node.emit("ReduceProd", {before.back(), node.ints({axes[i]})}));
  ValueId grad = kept_grad(node);
  for (size_t i = axes.size(); i-- > 0;)
    grad = node.emit("Mul", {grad, node.emit_internal("ProductOfOthers", {before[i]}, {{"axis", axes[i]}})});
  node.set_input_grad(0, grad);
}
void norm1_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("Mul", {node.emit("Sign", {node.input(0)}), kept_grad(node)}));
}
void norm2_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("Mul", {node.input(0), node.emit("Div", {kept_grad(node), kept_output(node)})}));
}
void squares_gradient(GradientContext& node) {
  const ValueId twice = node.emit("Mul", {kept_grad(node), node.scalar(2, dtype_of_input(node))});
  node.set_input_grad(0, node.emit("Mul", {node.input(0), twice}));
}
// dy / sum = dy * exp(-y)
void log_sum_gradient(GradientContext& node) {
  const ValueId share = node.emit("Div", {kept_grad(node), node.emit("Exp", {kept_output(node)})});
  node.set_input_grad(0, node.emit("Expand", {share, shape_of(node, node.input(0))}));
}
void log_sum_exp_gradient(GradientContext& node) {
  const ValueId share = node.emit("Exp", {node.emit("Sub", {node.input(0), kept_output(node)})});
  node.set_input_grad(0, node.emit("Mul", {share, kept_grad(node)}));
}

void infer_reduce_to_shape(InferenceContext& node) {
  require_float(node, 0);
  node.set_output(0, node.dtype(0), node.has_rank(1) ? std::optional(node.dims(1)) : std::nullopt);
}
template <auto kernel, Workspace workspace>
BoundKernel bind_to_shape(const BindContext& node) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], out[0]); },
          .workspace = workspace(node.shape(0))};
}

using Rule = void (*)(InferenceContext&);
using Gradient = void (*)(GradientContext&);

template <ReduceOp op>
constexpr OpDef by_attribute(std::string_view name, int until, Rule rule, Gradient gradient) {
  return {.name = name,
          .until = until,
          .attributes = kAxesAttributes,
          .infer = rule,
          .gradient = gradient,
          .cpu = bind<op, cpu::reduce, no_workspace>,
          .cuda = on_cuda(bind<op, cuda::reduce, cuda::reduce_workspace>)};
}
template <ReduceOp op>
constexpr OpDef by_input(std::string_view name, int since, Rule rule, Gradient gradient) {
  return {.name = name,
          .since = since,
          .max_inputs = 2,
          .attributes = kInputAttributes,
          .infer = rule,
          .gradient = gradient,
          .cpu = bind<op, cpu::reduce, no_workspace>,
          .cuda = on_cuda(bind<op, cuda::reduce, cuda::reduce_workspace>),
          .host_inputs = input_set(1)};
}

extern const OpDef reduce_sum_op_13, reduce_mean_op_18, reduce_max_op_18, reduce_min_op_18, reduce_prod_op_18, reduce_l1_op_18,
    reduce_l2_op_18, reduce_sum_square_op_18, reduce_log_sum_op_18, reduce_log_sum_exp_op_18, reduce_to_shape_op;

constexpr OpDef reduce_sum_op_1 = by_attribute<ReduceOp::kSum>("ReduceSum", 13, infer_sum, sum_gradient);
constexpr OpDef reduce_sum_op_13 = by_input<ReduceOp::kSum>("ReduceSum", 13, infer_sum, sum_gradient);
constexpr OpDef reduce_mean_op_1 = by_attribute<ReduceOp::kMean>("ReduceMean", 18, infer_sum, mean_gradient);
constexpr OpDef reduce_mean_op_18 = by_input<ReduceOp::kMean>("ReduceMean", 18, infer_sum, mean_gradient);
constexpr OpDef reduce_max_op_1 = by_attribute<ReduceOp::kMax>("ReduceMax", 18, infer_extremum, extremum_gradient);
constexpr OpDef reduce_max_op_18 = by_input<ReduceOp::kMax>("ReduceMax", 18, infer_extremum, extremum_gradient);
constexpr OpDef reduce_min_op_1 = by_attribute<ReduceOp::kMin>("ReduceMin", 18, infer_extremum, extremum_gradient);
constexpr OpDef reduce_min_op_18 = by_input<ReduceOp::kMin>("ReduceMin", 18, infer_extremum, extremum_gradient);
constexpr OpDef reduce_prod_op_1 = by_attribute<ReduceOp::kProd>("ReduceProd", 18, infer_sum, product_gradient);
constexpr OpDef reduce_prod_op_18 = by_input<ReduceOp::kProd>("ReduceProd", 18, infer_sum, product_gradient);
constexpr OpDef reduce_l1_op_1 = by_attribute<ReduceOp::kL1>("ReduceL1", 18, infer_sum, norm1_gradient);
constexpr OpDef reduce_l1_op_18 = by_input<ReduceOp::kL1>("ReduceL1", 18, infer_sum, norm1_gradient);
constexpr OpDef reduce_l2_op_1 = by_attribute<ReduceOp::kL2>("ReduceL2", 18, infer_sum, norm2_gradient);
constexpr OpDef reduce_l2_op_18 = by_input<ReduceOp::kL2>("ReduceL2", 18, infer_sum, norm2_gradient);
constexpr OpDef reduce_sum_square_op_1 =
    by_attribute<ReduceOp::kSumSquare>("ReduceSumSquare", 18, infer_sum, squares_gradient);
constexpr OpDef reduce_sum_square_op_18 =
    by_input<ReduceOp::kSumSquare>("ReduceSumSquare", 18, infer_sum, squares_gradient);
constexpr OpDef reduce_log_sum_op_1 = by_attribute<ReduceOp::kLogSum>("ReduceLogSum", 18, infer_log, log_sum_gradient);
constexpr OpDef reduce_log_sum_op_18 = by_input<ReduceOp::kLogSum>("ReduceLogSum", 18, infer_log, log_sum_gradient);
constexpr OpDef reduce_log_sum_exp_op_1 =
    by_attribute<ReduceOp::kLogSumExp>("ReduceLogSumExp", 18, infer_log, log_sum_exp_gradient);
constexpr OpDef reduce_log_sum_exp_op_18 =
    by_input<ReduceOp::kLogSumExp>("ReduceLogSumExp", 18, infer_log, log_sum_exp_gradient);

// tandem.ReduceToShape(grad, like): sums away the axes along which a tensor of like's shape was broadcast.
constexpr OpDef reduce_to_shape_op = {.name = "ReduceToShape",
                                      .domain = "tandem",
                                      .min_inputs = 2,
                                      .max_inputs = 2,
                                      .infer = infer_reduce_to_shape,
                                      .cpu = bind_to_shape<cpu::reduce_to_shape, no_workspace>,
                                      .cuda = on_cuda(bind_to_shape<cuda::reduce_to_shape, cuda::reduce_workspace>),
                                      .shape_inputs = input_set(1)};

constexpr const OpDef* kOps[] = {&reduce_sum_op_1, &reduce_sum_op_13, &reduce_mean_op_1, &reduce_mean_op_18, &reduce_max_op_1,
                                     &reduce_max_op_18, &reduce_min_op_1, &reduce_min_op_18, &reduce_prod_op_1,
                                     &reduce_prod_op_18, &reduce_l1_op_1, &reduce_l1_op_18, &reduce_l2_op_1, &reduce_l2_op_18,
                                     &reduce_sum_square_op_1, &reduce_sum_square_op_18, &reduce_log_sum_op_1,
                                     &reduce_log_sum_op_18, &reduce_log_sum_exp_op_1, &reduce_log_sum_exp_op_18,
                                     &reduce_to_shape_op};

}  // namespace

extern const OpFamily reduce_ops;
constinit const OpFamily reduce_ops = kOps;

}  // namespace tandem
