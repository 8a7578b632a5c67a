// MaxPool (ONNX 1 to 22; Indices from 8, dilations and ceil_mode from 10) and AveragePool (1 to 22; dilations from 19), their
// gradients tandem.MaxPoolGrad(dy, x) and tandem.AveragePoolGrad(dy, like x). MaxPoolGrad finds the maxima again, so the forward
// pass of a training graph keeps no indices. LpPool (2 to 22; ceil_mode and dilations from 18) and tandem.LpPoolGrad(dy, x, y).
#include "kernels/api/pool.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/pool_window.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kMaxAttributes[] = {"auto_pad", "ceil_mode",     "dilations", "kernel_shape",
                                               "pads",     "storage_order", "strides"};
constexpr std::string_view kAverageAttributes[] = {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape",
                                                   "pads",     "strides"};
constexpr std::string_view kLpAttributes[] = {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"};

void infer_max(InferenceContext& node) {
  node.require_number(0);
  const auto dims = pool_dims(node);
  node.set_output(0, node.dtype(0), dims);
  node.set_output(1, DType::kI64, dims);
}

void infer_float(InferenceContext& node) {
  require_float(node, 0);
  node.set_output(0, node.dtype(0), pool_dims(node));
}

// dx is like x, the second input.
void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  const WindowAttributes check(node);
  node.set_output_like(0, 1);
}

void max_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("MaxPoolGrad", {node.output_grad(), node.input(0)}, node.node().attributes));
}
void average_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("AveragePoolGrad", {node.output_grad(), node.input(0)}, node.node().attributes));
}

void lp_gradient(GradientContext& node) {
  node.set_input_grad(
      0, node.emit_internal("LpPoolGrad", {node.output_grad(), node.input(0), node.output(0)}, node.node().attributes));
}

// Twins have one signature, so one binder serves both devices.
template <auto kernel>
BoundKernel bind_max(const BindContext& node) {
  return {.run = [window = PoolWindow(node, node.shape(0)), column_major = node.get_int("storage_order", 0) != 0](
                     const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, window.of(in[0].shape), in[0], out[0], out.size() > 1 ? out[1] : TensorView{}, column_major);
  }};
}

template <auto kernel>
BoundKernel bind_max_grad(const BindContext& node) {
  return {.run = [window = PoolWindow(node, node.shape(1))](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, window.of(in[1].shape), in[1], in[0], out[0]);
  }};
}

template <auto kernel>
BoundKernel bind_average(const BindContext& node) {
  return {.run = [window = PoolWindow(node, node.shape(0)), count_pad = node.get_int("count_include_pad", 0) != 0](
                     const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, window.of(in[0].shape), in[0], out[0], count_pad);
  }};
}

template <auto kernel>
BoundKernel bind_average_grad(const BindContext& node) {
  return {.run = [window = PoolWindow(node, node.shape(1)), count_pad = node.get_int("count_include_pad", 0) != 0](
                     const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, window.of(in[1].shape), in[0], out[0], count_pad);
  }};
}

BoundKernel bind_lp(const BindContext& node) {
  return {
      .run = [window = PoolWindow(node, node.shape(0)), p = norm_of(node)](const KernelContext& context, Inputs in, Outputs out) {
        cpu::lp_pool(context, window.of(in[0].shape), in[0], out[0], p);
      }};
}

BoundKernel bind_lp_grad(const BindContext& node) {
  return {
      .run = [window = PoolWindow(node, node.shape(1)), p = norm_of(node)](const KernelContext& context, Inputs in, Outputs out) {
        cpu::lp_pool_grad(context, window.of(in[1].shape), in[1], in[2], in[0], out[0], p);
      }};
}

constexpr OpDef max_pool_op = {
    .name = "MaxPool",
    .since = 1,
    .max_outputs = 2,
    .attributes = kMaxAttributes,
    .infer = infer_max,
    .gradient = max_gradient,
    .cpu = bind_max<cpu::max_pool>,
    .cuda = on_cuda(bind_max<cuda::max_pool>),
};

constexpr OpDef average_pool_op = {
    .name = "AveragePool",
    .since = 1,
    .attributes = kAverageAttributes,
    .infer = infer_float,
    .gradient = average_gradient,
    .cpu = bind_average<cpu::average_pool>,
    .cuda = on_cuda(bind_average<cuda::average_pool>),
};

constexpr OpDef lp_pool_op = {
    .name = "LpPool",
    .since = 2,
    .attributes = kLpAttributes,
    .infer = infer_float,
    .gradient = lp_gradient,
    .cpu = bind_lp,
};

constexpr OpDef lp_pool_grad_op = {
    .name = "LpPoolGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .attributes = kLpAttributes,
    .infer = infer_grad,
    .cpu = bind_lp_grad,
};

constexpr OpDef max_pool_grad_op = {
    .name = "MaxPoolGrad",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kMaxAttributes,
    .infer = infer_grad,
    .cpu = bind_max_grad<cpu::max_pool_grad>,
    .cuda = on_cuda(bind_max_grad<cuda::max_pool_grad>),
};

constexpr OpDef average_pool_grad_op = {
    .name = "AveragePoolGrad",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kAverageAttributes,
    .infer = infer_grad,
    .cpu = bind_average_grad<cpu::average_pool_grad>,
    .cuda = on_cuda(bind_average_grad<cuda::average_pool_grad>),
    .shape_inputs = input_set(1),
};

constexpr const OpDef* kOps[] = {&max_pool_op,      &average_pool_op,      &lp_pool_op,
                                 &max_pool_grad_op, &average_pool_grad_op, &lp_pool_grad_op};

}  // namespace

extern const OpFamily pool_ops;
constinit const OpFamily pool_ops = kOps;

}  // namespace tandem
