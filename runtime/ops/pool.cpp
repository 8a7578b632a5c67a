// MaxPool (ONNX 1 to 22; Indices from 8, dilations and ceil_mode from 10) and AveragePool (7 to 22; dilations from 19), and their
// gradients tandem.MaxPoolGrad(dy, x) and tandem.AveragePoolGrad(dy, like x). MaxPoolGrad finds the maxima again, so the forward
// pass of a training graph keeps no indices.
#include "kernels/api/pool.h"

#include <algorithm>

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"
#include "runtime/ops/window_attributes.h"

namespace tandem {
namespace {

constexpr std::string_view kMaxAttributes[] = {"auto_pad", "ceil_mode",     "dilations", "kernel_shape",
                                               "pads",     "storage_order", "strides"};
constexpr std::string_view kAverageAttributes[] = {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape",
                                                   "pads",     "strides"};

constexpr int kMinRank = 3, kMaxRank = 5;

void infer_window(InferenceContext& node) {
  const WindowAttributes attributes(node);
  std::optional<Dims> dims;
  if (node.has_rank(0)) {
    node.require(node.rank(0) >= kMinRank && node.rank(0) <= kMaxRank, "input X must have 1 to 3 spatial axes",
                 to_string(node.dims(0)));
    dims = window_dims(node, attributes, node.dims(0)[1]);
  }
  node.set_output(0, node.dtype(0), dims);
  node.set_output(1, DType::kI64, dims);
}

void infer_max(InferenceContext& node) {
  node.require_number(0);
  infer_window(node);
}

void infer_average(InferenceContext& node) {
  require_float(node, 0);
  infer_window(node);
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

// The window at the plan's bounds, and at the shape of a run where this is another.
class PoolWindow {
 public:
  PoolWindow(const BindContext& node, const Shape& x) : attributes_(node), x_(x) {
    planned_ = naming(node, [&] { return make_window(x, attributes_.options()); });
  }
  Window of(const Shape& x) const {
    return std::ranges::equal(x.dims().subspan(2), x_.dims().subspan(2)) ? planned_ : make_window(x, attributes_.options());
  }

 private:
  WindowAttributes attributes_;
  Shape x_;
  Window planned_;
};

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
    .since = 7,
    .attributes = kAverageAttributes,
    .infer = infer_average,
    .gradient = average_gradient,
    .cpu = bind_average<cpu::average_pool>,
    .cuda = on_cuda(bind_average<cuda::average_pool>),
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

constexpr const OpDef* kOps[] = {&max_pool_op, &average_pool_op, &max_pool_grad_op, &average_pool_grad_op};

}  // namespace

extern const OpFamily pool_ops;
constinit const OpFamily pool_ops = kOps;

}  // namespace tandem
