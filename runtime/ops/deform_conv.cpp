// DeformConv (ONNX 19, 22: only element types changed), and what its gradient is made of: the patches that the taps read,
// tandem.DeformPatches(x, like w, offset, mask?), and tandem.DeformPatchesGrad(dpatches, x, like w, offset, mask?) -> dx,
// doffset, dmask?. Patches are [batch, (channel, tap), pixel], all of them at once: training takes kernel_size times the memory
// of x for them.
#include "kernels/api/deform_conv.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/symbolic.h"
#include "runtime/ops/window_attributes.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"dilations", "group", "kernel_shape", "offset_group", "pads", "strides"};

// The geometry if all of X and W is known; the batch may be open.
std::optional<ConvGeometry> known_geometry(const InferenceContext& node) {
  if (!node.has_rank(0) || !node.has_rank(1) || node.dims(0).empty()) return std::nullopt;
  Dims x = node.dims(0);
  x[0] = Dim(int64_t{1});
  const auto xs = fixed_shape(x), ws = fixed_shape(node.dims(1));
  if (!xs || !ws) return std::nullopt;
  return naming(node, [&] { return make_conv_geometry(*xs, *ws, node.get_int("group", 1), WindowAttributes(node).options()); });
}

// An input [batch, channels, output...].
void require_like_output(const InferenceContext& node, int i, const ConvGeometry& g, int64_t channels) {
  if (!node.has_input(i) || !node.has_rank(i)) return;
  Dims expected = to_dims(g.output_shape(1));
  expected[0] = node.dims(0)[0], expected[1] = Dim(channels);
  const Dims& dims = node.dims(i);
  bool fits = dims.size() == expected.size();
  for (size_t a = 0; fits && a < dims.size(); ++a) fits = !differ(dims[a], expected[a]);
  node.require(fits, "input has a shape that does not fit X, W and the attributes (input, its dims, expected)", i,
               to_string(dims), to_string(expected));
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  for (int i = 1; i < node.inputs(); ++i)
    if (node.has_input(i)) node.require_same_dtype(0, i);
  const auto g = known_geometry(node);
  if (!g) return node.set_output(0, node.dtype(0), node.has_rank(0) ? std::optional(Dims(node.dims(0).size())) : std::nullopt);
  const int64_t offset_groups = node.get_int("offset_group", 1), taps = g->window.kernel_size();
  node.require(offset_groups >= 1 && g->channels % offset_groups == 0,
               "offset_group must divide the channels (channels, offset_group)", g->channels, offset_groups);
  require_like_output(node, 2, *g, offset_groups * taps * g->window.rank);
  require_like_output(node, 4, *g, offset_groups * taps);
  if (node.has_input(3) && node.has_rank(3))
    node.require(node.rank(3) == 1 && !differ(node.dims(3)[0], Dim(g->filters)), "bias B must have one value a filter (B)",
                 to_string(node.dims(3)));
  Dims y = to_dims(g->output_shape(1));
  y[0] = node.dims(0)[0];
  node.set_output(0, node.dtype(0), std::move(y));
}

BoundKernel bind(const BindContext& node) {
  const WindowAttributes attributes(node);
  const int64_t groups = node.get_int("group", 1), offset_groups = node.get_int("offset_group", 1);
  const ConvGeometry planned =
      naming(node, [&] { return make_conv_geometry(node.shape(0), node.shape(1), groups, attributes.options()); });
  const auto null_or = [](Inputs in, size_t i) { return in.size() > i ? in[i] : ConstTensorView{}; };
  return {
      .run =
          [=](const KernelContext& context, Inputs in, Outputs out) {
            const DeformConvViews views{.x = in[0], .w = in[1], .offset = in[2], .bias = null_or(in, 3), .mask = null_or(in, 4)};
            const bool same = std::ranges::equal(in[0].shape.dims().subspan(1), planned.input_shape(1).dims().subspan(1));
            cpu::deform_conv(context, same ? planned : make_conv_geometry(in[0].shape, in[1].shape, groups, attributes.options()),
                             offset_groups, views, out[0]);
          },
      .workspace = cpu::deform_conv_workspace(planned, node.dtype(0), node.threads())};
}

enum Input { kX, kW, kOffset, kBias, kMask };

ValueId input_or_none(const GradientContext& node, int i) { return node.has_input(i) ? node.input(i) : kNoValue; }

// y = W patches, group by group: dpatches = W^T dy, dW = sum over the batch of dy patches^T.
void gradient(GradientContext& node) {
  const ValueId dy = node.output_grad(), w = node.input(kW), mask = input_or_none(node, kMask);
  const int64_t groups = node.get_int("group", 1);
  const int axes = rank_of(node, w) - 2;
  const Dim filters = (*node.type(w).dims)[0];
  node.require(filters.known(), "the gradient needs the number of filters");
  const auto swapped = [&](ValueId x) { return node.emit("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}}); };
  const auto grouped = [&](ValueId x, std::vector<int64_t> shape) {
    return node.emit("Reshape", {x, node.ints(std::move(shape))});
  };
  const ValueId by_group = grouped(dy, {0, groups, filters.size / groups, -1});  // [batch, group, filter, pixel]
  const std::vector<ValueId> taps = {node.input(kX), w, node.input(kOffset), mask};
  if (node.wants(kX) || node.wants(kOffset) || node.wants(kMask)) {
    const ValueId filters_by_group = grouped(w, {1, groups, filters.size / groups, -1});
    std::vector<ValueId> inputs = {node.emit("MatMul", {swapped(filters_by_group), by_group})};
    inputs.insert(inputs.end(), taps.begin(), taps.end());
    const auto grads = node.emit_many("DeformPatchesGrad", inputs, mask == kNoValue ? 2 : 3, node.node().attributes, "tandem");
    node.set_input_grad(kX, grads[0]);
    node.set_input_grad(kOffset, grads[1]);
    if (mask != kNoValue) node.set_input_grad(kMask, grads[2]);
  }
  if (node.wants(kW)) {
    const ValueId patches =
        node.emit_internal("DeformPatches", taps, node.node().attributes);  // [batch, group, (channel, tap), pixel]
    const ValueId products = node.emit("MatMul", {by_group, swapped(patches)});
    node.set_input_grad(kW, reshape_like(node, node.emit("ReduceSum", {products, node.ints({0})}), w));
  }
  if (node.wants(kBias)) {
    std::vector<int64_t> all = {0};
    for (int64_t a = 0; a < axes; ++a) all.push_back(a + 2);
    node.set_input_grad(kBias, node.emit("ReduceSum", {dy, node.ints(std::move(all))}, {{"keepdims", int64_t{0}}}));
  }
}

void infer_patches(InferenceContext& node) {
  require_float(node, 0);
  if (!node.has_rank(0) || !node.has_rank(1)) return node.set_output(0, node.dtype(0), std::nullopt);
  const auto g = known_geometry(node);
  if (!g) return node.set_output(0, node.dtype(0), Dims(4));
  node.set_output(0, node.dtype(0),
                  Dims{node.dims(0)[0], Dim(g->groups), Dim(g->channels / g->groups * g->window.kernel_size()),
                       Dim(g->window.output_size())});
}
void infer_patches_grad(InferenceContext& node) {
  require_float(node, 0);
  node.set_output_like(0, 1);
  node.set_output_like(1, 3);
  if (node.has_input(4)) node.set_output_like(2, 4);
}

// Reads x, w, offset and mask from `first` on; kernel(context, geometry, groups of offsets, views, in, out).
template <class Kernel>
BoundKernel bind_patches(const BindContext& node, size_t first, Kernel kernel) {
  const int64_t groups = node.get_int("group", 1), offset_groups = node.get_int("offset_group", 1);
  return {.run = [=, attributes = WindowAttributes(node)](const KernelContext& context, Inputs in, Outputs out) {
    const DeformConvViews views{.x = in[first],
                                .w = in[first + 1],
                                .offset = in[first + 2],
                                .bias = {},
                                .mask = in.size() > first + 3 ? in[first + 3] : ConstTensorView{}};
    kernel(context, make_conv_geometry(views.x.shape, views.w.shape, groups, attributes.options()), offset_groups, views, in,
           out);
  }};
}
BoundKernel bind_patches(const BindContext& node) {
  return bind_patches(node, 0,
                      [](const KernelContext& context, const ConvGeometry& g, int64_t offset_groups, const DeformConvViews& views,
                         Inputs, Outputs out) { cpu::deform_patches(context, g, offset_groups, views, out[0]); });
}
BoundKernel bind_patches_grad(const BindContext& node) {
  return bind_patches(node, 1,
                      [](const KernelContext& context, const ConvGeometry& g, int64_t offset_groups, const DeformConvViews& views,
                         Inputs in, Outputs out) {
                        cpu::deform_patches_grad(context, g, offset_groups, views, in[0],
                                                 {out[0], out[1], out.size() > 2 ? out[2] : TensorView{}});
                      });
}

constexpr OpDef deform_conv_op = {.name = "DeformConv",
                                  .since = 19,
                                  .min_inputs = 3,
                                  .max_inputs = 5,
                                  .attributes = kAttributes,
                                  .infer = infer,
                                  .gradient = gradient,
                                  .cpu = bind};
constexpr OpDef patches_op = {.name = "DeformPatches",
                              .domain = "tandem",
                              .min_inputs = 3,
                              .max_inputs = 4,
                              .attributes = kAttributes,
                              .infer = infer_patches,
                              .cpu = bind_patches,
                              .shape_inputs = input_set(1)};
constexpr OpDef patches_grad_op = {.name = "DeformPatchesGrad",
                                   .domain = "tandem",
                                   .min_inputs = 4,
                                   .max_inputs = 5,
                                   .min_outputs = 2,
                                   .max_outputs = 3,
                                   .attributes = kAttributes,
                                   .infer = infer_patches_grad,
                                   .cpu = bind_patches_grad,
                                   .shape_inputs = input_set(2)};

constexpr const OpDef* kOps[] = {&deform_conv_op, &patches_op, &patches_grad_op};

}  // namespace

extern const OpFamily deform_conv_ops;
constinit const OpFamily deform_conv_ops = kOps;

}  // namespace tandem
