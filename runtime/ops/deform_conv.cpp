// DeformConv (ONNX 19, 22: only element types changed).
#include "kernels/api/deform_conv.h"

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

constexpr OpDef deform_conv_op = {
    .name = "DeformConv", .since = 19, .min_inputs = 3, .max_inputs = 5, .attributes = kAttributes, .infer = infer, .cpu = bind};

constexpr const OpDef* kOps[] = {&deform_conv_op};

}  // namespace

extern const OpFamily deform_conv_ops;
constinit const OpFamily deform_conv_ops = kOps;

}  // namespace tandem
