// GlobalAveragePool and GlobalMaxPool (ONNX 1) and GlobalLpPool (2) over all axes from 2 on, and the gradients
// tandem.GlobalAveragePoolGrad(dy, like x), tandem.GlobalMaxPoolGrad(dy, x) and tandem.GlobalLpPoolGrad(dy, x, y).
#include "kernels/api/pool.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/pool_window.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

void infer(InferenceContext& node) {
  require_float(node, 0);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims y = node.dims(0);
  node.require(y.size() >= 2, "input X must have a batch and a channel axis", to_string(y));
  std::fill(y.begin() + 2, y.end(), Dim(1));
  node.set_output(0, node.dtype(0), std::move(y));
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  node.set_output_like(0, 1);
}

void average_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("GlobalAveragePoolGrad", {node.output_grad(), node.input(0)}));
}
void max_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("GlobalMaxPoolGrad", {node.output_grad(), node.input(0)}));
}

void lp_gradient(GradientContext& node) {
  node.set_input_grad(
      0, node.emit_internal("GlobalLpPoolGrad", {node.output_grad(), node.input(0), node.output(0)}, node.node().attributes));
}

// The tensor with its spatial axes as one, and the window that covers it.
template <class View>
View flattened(View view) {
  view.shape = Shape{view.shape[0], view.shape[1], view.shape.product(2, view.shape.rank())};
  return view;
}
Window whole(const Shape& flat) {
  const int64_t kernel[] = {flat[2]};
  return make_window(flat, {.kernel = kernel});
}

// Twins have one signature, so one binder serves both devices.
template <auto kernel>
BoundKernel bind_average(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], out[0]); }};
}
template <auto kernel>
BoundKernel bind_max(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    const ConstTensorView x = flattened(in[0]);
    kernel(context, whole(x.shape), x, flattened(out[0]), TensorView{}, false);
  }};
}
template <auto kernel>
BoundKernel bind_max_grad(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    const ConstTensorView x = flattened(in[1]);
    kernel(context, whole(x.shape), x, flattened(in[0]), flattened(out[0]));
  }};
}

BoundKernel bind_lp(const BindContext& node) {
  return {.run = [p = norm_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    const ConstTensorView x = flattened(in[0]);
    cpu::lp_pool(context, whole(x.shape), x, flattened(out[0]), p);
  }};
}

BoundKernel bind_lp_grad(const BindContext& node) {
  return {.run = [p = norm_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    const ConstTensorView x = flattened(in[1]);
    cpu::lp_pool_grad(context, whole(x.shape), x, flattened(in[2]), flattened(in[0]), flattened(out[0]), p);
  }};
}

constexpr std::string_view kLpAttributes[] = {"p"};

constexpr OpDef global_average_pool_op = {
    .name = "GlobalAveragePool",
    .infer = infer,
    .gradient = average_gradient,
    .cpu = bind_average<cpu::global_average_pool>,
    .cuda = on_cuda(bind_average<cuda::global_average_pool>),
};

constexpr OpDef global_max_pool_op = {
    .name = "GlobalMaxPool",
    .infer = infer,
    .gradient = max_gradient,
    .cpu = bind_max<cpu::max_pool>,
    .cuda = on_cuda(bind_max<cuda::max_pool>),
};

constexpr OpDef global_lp_pool_op = {
    .name = "GlobalLpPool",
    .since = 2,
    .attributes = kLpAttributes,
    .infer = infer,
    .gradient = lp_gradient,
    .cpu = bind_lp,
};

constexpr OpDef global_lp_pool_grad_op = {
    .name = "GlobalLpPoolGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .attributes = kLpAttributes,
    .infer = infer_grad,
    .cpu = bind_lp_grad,
};

constexpr OpDef global_average_pool_grad_op = {
    .name = "GlobalAveragePoolGrad",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_grad,
    .cpu = bind_average<cpu::global_average_pool_grad>,
    .cuda = on_cuda(bind_average<cuda::global_average_pool_grad>),
    .shape_inputs = input_set(1),
};

constexpr OpDef global_max_pool_grad_op = {
    .name = "GlobalMaxPoolGrad",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_grad,
    .cpu = bind_max_grad<cpu::max_pool_grad>,
    .cuda = on_cuda(bind_max_grad<cuda::max_pool_grad>),
};

constexpr const OpDef* kOps[] = {&global_average_pool_op,      &global_max_pool_op,      &global_lp_pool_op,
                                 &global_average_pool_grad_op, &global_max_pool_grad_op, &global_lp_pool_grad_op};

}  // namespace

extern const OpFamily global_pool_ops;
constinit const OpFamily global_pool_ops = kOps;

}  // namespace tandem
