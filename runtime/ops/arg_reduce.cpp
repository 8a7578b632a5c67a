// ArgMax, ArgMin (ONNX 1; select_last_index from 12 on), CumSum (11) and CumProd (26), tandem.CumProdGrad(x, axis, dy) and
// tandem.ProductOfOthers(x) {axis}, of which ReduceProd's gradient is made.
#include "kernels/api/reduce.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/index_list.h"

namespace tandem {
namespace {

constexpr std::string_view kArgAttributes[] = {"axis", "keepdims", "select_last_index"};
constexpr std::string_view kAxis[] = {"axis"};
constexpr std::string_view kCumulativeAttributes[] = {"exclusive", "reverse"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

void infer_arg(InferenceContext& node) {
  require_arithmetic(node, 0);
  if (!node.has_rank(0)) return node.set_output(0, DType::kI64, std::nullopt);
  Dims dims = node.dims(0);
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  node.require(dims[static_cast<size_t>(axis)].size != 0, "the axis is empty", axis);
  if (node.get_int("keepdims", 1))
    dims[static_cast<size_t>(axis)] = Dim(1);
  else
    dims.erase(dims.begin() + axis);
  node.set_output(0, DType::kI64, std::move(dims));
}

template <auto kernel, bool largest>
BoundKernel bind_arg(const BindContext& node) {
  const int axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0));
  const ArgReduce options{largest, node.get_int("select_last_index", 0) != 0};
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], out[0], axis, options); }};
}

void infer_cumulative(InferenceContext& node) {
  require_arithmetic(node, 0);
  require_index(node, 1);
  node.set_output_like(0, 0);
}

template <auto kernel>
BoundKernel bind_cumulative(const BindContext& node) {
  const Cumulative options{node.get_int("exclusive", 0) != 0, node.get_int("reverse", 0) != 0};
  return {.run = [options, own = Node(node.node())](const KernelContext& context, Inputs in, Outputs out) {
    const IndexList axes(in[1]);
    require(axes.size() == 1, "[CumSum, CumProd] axis must be one number", axes.size());
    const int axis = NodeContext(own).normalized_axis(axes[0], in[0].shape.rank());
    if constexpr (std::is_same_v<decltype(kernel), decltype(&cpu::cumprod_grad)>)
      kernel(context, in[0], in[2], out[0], axis, options);
    else
      kernel(context, in[0], out[0], axis, options);
  }};
}

// Element i counts in the sums from i on (up to i if reversed): the gradient sums from the other end.
void cumsum_gradient(GradientContext& node) {
  node.set_input_grad(
      0, node.emit("CumSum", {node.output_grad(), node.input(1)},
                   {{"exclusive", node.get_int("exclusive", 0)}, {"reverse", int64_t{!node.get_int("reverse", 0)}}}));
}

void cumprod_gradient(GradientContext& node) {
  node.set_input_grad(
      0, node.emit_internal("CumProdGrad", {node.input(0), node.input(1), node.output_grad()}, node.node().attributes));
}

void infer_cumprod_grad(InferenceContext& node) {
  node.require_same_dtype(0, 2);
  node.require_float(0);
  infer_cumulative(node);
}

void infer_product_of_others(InferenceContext& node) {
  require_arithmetic(node, 0);
  node.set_output_like(0, 0);
}
BoundKernel bind_product_of_others(const BindContext& node) {
  return {
      .run = [axis = node.normalized_axis(node.get_int("axis", 0), node.rank(0))](
                 const KernelContext& context, Inputs in, Outputs out) { cpu::product_of_others(context, in[0], out[0], axis); }};
}

constexpr OpDef arg_max_op = {.name = "ArgMax",
                              .attributes = kArgAttributes,
                              .infer = infer_arg,
                              .cpu = bind_arg<cpu::arg_reduce, true>,
                              .cuda = on_cuda(bind_arg<cuda::arg_reduce, true>)};
constexpr OpDef arg_min_op = {.name = "ArgMin",
                              .attributes = kArgAttributes,
                              .infer = infer_arg,
                              .cpu = bind_arg<cpu::arg_reduce, false>,
                              .cuda = on_cuda(bind_arg<cuda::arg_reduce, false>)};
constexpr OpDef cumsum_op = {.name = "CumSum",
                             .since = 11,
                             .min_inputs = 2,
                             .max_inputs = 2,
                             .attributes = kCumulativeAttributes,
                             .infer = infer_cumulative,
                             .gradient = cumsum_gradient,
                             .cpu = bind_cumulative<cpu::cumsum>,
                             .cuda = on_cuda(bind_cumulative<cuda::cumsum>),
                             .host_inputs = input_set(1),
                             .aliases = kInPlace};

constexpr OpDef cumprod_op = {.name = "CumProd",
                              .since = 26,
                              .min_inputs = 2,
                              .max_inputs = 2,
                              .attributes = kCumulativeAttributes,
                              .infer = infer_cumulative,
                              .gradient = cumprod_gradient,
                              .cpu = bind_cumulative<cpu::cumprod>,
                              .aliases = kInPlace};

constexpr OpDef cumprod_grad_op = {.name = "CumProdGrad",
                                   .domain = "tandem",
                                   .min_inputs = 3,
                                   .max_inputs = 3,
                                   .attributes = kCumulativeAttributes,
                                   .infer = infer_cumprod_grad,
                                   .cpu = bind_cumulative<cpu::cumprod_grad>};

constexpr OpDef product_of_others_op = {.name = "ProductOfOthers",
                                        .domain = "tandem",
                                        .attributes = kAxis,
                                        .infer = infer_product_of_others,
                                        .cpu = bind_product_of_others};

constexpr const OpDef* kOps[] = {&arg_max_op, &arg_min_op, &cumsum_op, &cumprod_op, &cumprod_grad_op, &product_of_others_op};

}  // namespace

extern const OpFamily arg_reduce_ops;
constinit const OpFamily arg_reduce_ops = kOps;

}  // namespace tandem
