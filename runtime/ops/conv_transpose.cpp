// ConvTranspose (ONNX 1 to 22: only element types changed), and the gradients tandem.ConvTransposeGradInput(dy, w, like x) and
// tandem.ConvTransposeGradWeight(dy, x, like w): a convolution of dy, and the weight gradient of that convolution.
#include "kernels/api/conv_transpose.h"

#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"
#include "runtime/ops/window_attributes.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"auto_pad",       "dilations",    "group", "kernel_shape",
                                            "output_padding", "output_shape", "pads",  "strides"};
constexpr int kMinRank = 3, kMaxRank = 5;

// All attributes of one node; options() points into it.
struct TransposedAttributes {
  explicit TransposedAttributes(const NodeContext& node)
      : window(node),
        output_padding(node.get_ints("output_padding")),
        output_shape(node.get_ints("output_shape")),
        groups(node.get_int("group", 1)) {}

  ConvGeometry geometry(const Shape& x, const Shape& w) const {
    return make_conv_transpose_geometry(
        x, w, groups, {.window = window.options(), .output_padding = output_padding, .output_shape = output_shape});
  }

  WindowAttributes window;
  std::vector<int64_t> output_padding, output_shape;
  int64_t groups;
};

// [batch, channels, output...]: what is not known of x is probed with a size that any pads leave something of. Without output_shape an
// output grows with its input by the stride.
Dims output_dims(const InferenceContext& node, const TransposedAttributes& attributes) {
  const Dims &x = node.dims(0), &w = node.dims(1);
  Dims y(x.size());
  y[0] = x[0];
  if (!w[1].known()) return y;
  const auto kernel = fixed_shape(Dims(w.begin() + 2, w.end()));
  if (!kernel || !(w[0].known() || x[1].known())) return y;
  return naming(node, [&] {
    const int64_t filters = w[0].known() ? w[0].size : x[1].size;
    int64_t probe = 1;
    for (int64_t pad : attributes.window.pads) probe = checked_add(probe, std::max<int64_t>(pad, 0), "pads");
    Shape xs{1, x[1].known() ? x[1].size : filters}, ws{filters, w[1].size};
    for (size_t i = 2; i < x.size(); ++i) {
      xs.push_back(x[i].known() ? x[i].size : probe);
      ws.push_back(w[i].size);
    }
    const ConvGeometry g = attributes.geometry(Shape(xs.dims()), Shape(ws.dims()));
    const Shape sizes = g.input_shape(1);
    y[1] = Dim(g.channels);
    for (size_t i = 2; i < x.size(); ++i)
      if (x[i].known() || !attributes.output_shape.empty()) {
        y[i] = Dim(sizes[static_cast<int>(i)]);
      } else {
        const int64_t stride = g.window.stride[i + 3 - x.size()], there = checked_mul(stride, probe, "output");
        y[i] = shifted(product(std::vector<Dim>{x[i], Dim(stride)}), sizes[static_cast<int>(i)] - there);
      }
    return y;
  });
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  if (node.has_input(2)) node.require_same_dtype(0, 2);
  const TransposedAttributes attributes(node);
  if (!node.has_rank(0) || !node.has_rank(1)) return node.set_output(0, node.dtype(0), std::nullopt);
  node.require(node.rank(0) >= kMinRank && node.rank(0) <= kMaxRank, "input X must have 1 to 3 spatial axes",
               to_string(node.dims(0)));
  node.require(node.rank(0) == node.rank(1), "input X and weight W must have as many axes", to_string(node.dims(0)),
               to_string(node.dims(1)));
  Dims y = output_dims(node, attributes);
  if (node.has_input(2) && node.has_rank(2))
    node.require(node.rank(2) == 1 && !differ(node.dims(2)[0], y[1]),
                 "bias B must have one value an output channel (B, channels)", to_string(node.dims(2)), to_string(Dims{y[1]}));
  node.set_output(0, node.dtype(0), std::move(y));
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  node.require_same_dtype(0, 2);
  node.set_output_like(0, 2);
}

void gradient(GradientContext& node) {
  const ValueId x = node.input(0), w = node.input(1), dy = node.output_grad();
  const Attributes attributes = node.node().attributes;
  if (node.wants(0)) node.set_input_grad(0, node.emit_internal("ConvTransposeGradInput", {dy, w, x}, attributes));
  if (node.wants(1)) node.set_input_grad(1, node.emit_internal("ConvTransposeGradWeight", {dy, x, w}, attributes));
  if (!node.wants(2)) return;
  const auto& dims = node.type(x).dims;
  node.require(dims.has_value(), "the gradient needs an input of known rank");
  std::vector<int64_t> axes = {0};
  for (size_t i = 2; i < dims->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  node.set_input_grad(2, node.emit("ReduceSum", {dy, node.ints(axes)}, {{"keepdims", int64_t{0}}}));
}

// The geometry at the plan's bounds, and at the shapes of a run where these are others.
class Geometry {
 public:
  Geometry(const BindContext& node, const Shape& x, const Shape& w) : attributes_(node), x_(x), w_(w) {
    planned_ = naming(node, [&] { return attributes_.geometry(x, w); });
  }
  const ConvGeometry& planned() const { return planned_; }
  ConvGeometry of(const Shape& x, const Shape& w) const {
    const bool same = std::ranges::equal(x.dims().subspan(1), x_.dims().subspan(1)) && w == w_;
    return same ? planned_ : attributes_.geometry(x, w);
  }

 private:
  TransposedAttributes attributes_;
  Shape x_, w_;
  ConvGeometry planned_;
};

ConvWorkspace workspace_of(const BindContext& node, const Geometry& geometry) {
  return cpu::conv_workspace_bytes(geometry.planned(), node.dtype(0), node.threads());
}

BoundKernel bind(const BindContext& node) {
  const Geometry geometry(node, node.shape(0), node.shape(1));
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const ConvGeometry g = geometry.of(in[0].shape, in[1].shape);
                cpu::conv_transpose(context, g, in[0], in[1], in.size() > 2 ? in[2] : ConstTensorView{}, out[0]);
              },
          .workspace = workspace_of(node, geometry).input_grad};
}

BoundKernel bind_input_grad(const BindContext& node) {
  const Geometry geometry(node, node.shape(2), node.shape(1));
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { cpu::conv(context, geometry.of(in[2].shape, in[1].shape), in[0], in[1], out[0]); },
          .workspace = workspace_of(node, geometry).forward};
}

BoundKernel bind_weight_grad(const BindContext& node) {
  const Geometry geometry(node, node.shape(1), node.shape(2));
  return {
      .run = [=](const KernelContext& context, Inputs in,
                 Outputs out) { cpu::conv_weight_grad(context, geometry.of(in[1].shape, in[2].shape), in[0], in[1], out[0]); },
      .workspace = workspace_of(node, geometry).weight_grad};
}

// Every input element meets the channels of its group and the kernel.
double flops_of(const Shape& x, const Shape& w) {
  return 2.0 * static_cast<double>(x.elements()) * static_cast<double>(w.product(1, w.rank()));
}
double flops(const BindContext& node) { return flops_of(node.shape(0), node.shape(1)); }
double input_grad_flops(const BindContext& node) { return flops_of(node.shape(2), node.shape(1)); }
double weight_grad_flops(const BindContext& node) { return flops_of(node.shape(1), node.shape(2)); }

constexpr OpDef conv_transpose_op = {.name = "ConvTranspose",
                                     .min_inputs = 2,
                                     .max_inputs = 3,
                                     .attributes = kAttributes,
                                     .infer = infer,
                                     .gradient = gradient,
                                     .cpu = bind,
                                     .flops = flops};
constexpr OpDef conv_transpose_grad_input_op = {.name = "ConvTransposeGradInput",
                                                .domain = "tandem",
                                                .min_inputs = 3,
                                                .max_inputs = 3,
                                                .attributes = kAttributes,
                                                .infer = infer_grad,
                                                .cpu = bind_input_grad,
                                                .shape_inputs = input_set(2),
                                                .flops = input_grad_flops};
constexpr OpDef conv_transpose_grad_weight_op = {.name = "ConvTransposeGradWeight",
                                                 .domain = "tandem",
                                                 .min_inputs = 3,
                                                 .max_inputs = 3,
                                                 .attributes = kAttributes,
                                                 .infer = infer_grad,
                                                 .cpu = bind_weight_grad,
                                                 .shape_inputs = input_set(2),
                                                 .flops = weight_grad_flops};

constexpr const OpDef* kOps[] = {&conv_transpose_op, &conv_transpose_grad_input_op, &conv_transpose_grad_weight_op};

}  // namespace

extern const OpFamily conv_transpose_ops;
constinit const OpFamily conv_transpose_ops = kOps;

}  // namespace tandem
