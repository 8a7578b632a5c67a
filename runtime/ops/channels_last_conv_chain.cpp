// tandem.ChannelsLastConvChain(x, w, bias?, expand_w?, expand_bias?, project_w?, project_bias?, residual?): up to three
// tandem.ChannelsLastConv, the middle one depthwise, in one sweep (kernels/api/conv_chain.h). A plan makes it where it pays
// (runtime/plan/conv_chains.h).
//
// The attributes of a convolution are the middle one's; those of the others' activations begin with expand_ and project_.
#include "kernels/api/conv_chain.h"

#include "runtime/ops/activation.h"
#include "runtime/ops/channels_last.h"
#include "runtime/ops/conv_shape.h"
#include "runtime/ops/filter_layout.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr int kDepthwise = 1, kExpand = 3, kProject = 5,
              kResidual = 7;  // inputs: weights, each with its bias behind it, and the residual
constexpr std::string_view kAttributes[] = {"activation",
                                            "activation_alpha",
                                            "activation_beta",
                                            "expand_activation",
                                            "expand_activation_alpha",
                                            "expand_activation_beta",
                                            "project_activation",
                                            "project_activation_alpha",
                                            "project_activation_beta",
                                            "auto_pad",
                                            "dilations",
                                            "group",
                                            "kernel_shape",
                                            "pads",
                                            "strides"};
constexpr Alias kResidualInPlace[] = {{.input = kResidual, .output = 0}};

// Channels first, behind a pointwise convolution by input `w`.
Dims pointwise_dims(const InferenceContext& node, Dims x, int w) {
  if (!node.has_input(w)) return x;
  node.require(node.has_rank(w), "weights must have a known shape (input)", w);
  const Dims& weights = node.dims(w);
  node.require(weights.size() == 4 && !differ(weights[1], x[1]) && !differ(weights[2], Dim(1)) && !differ(weights[3], Dim(1)),
               "pointwise weights must be [filters, channels, 1, 1] (weights, input)", to_string(weights), to_string(x));
  x[1] = weights[0];
  return x;
}

void infer(InferenceContext& node) {
  for (int i = 0; i < node.inputs(); ++i)
    if (node.has_input(i)) node.require_dtype(i, DType::kF32);
  for (const char* stage : {"", "expand_", "project_"}) activation_of(node, stage);
  if (!node.has_rank(0) || !node.has_rank(kDepthwise)) return node.set_output(0, DType::kF32, std::nullopt);
  node.require(node.rank(0) == 4, "input X must have two spatial axes", to_string(node.dims(0)));
  const Dims expanded = pointwise_dims(node, channels_first(node.dims(0)), kExpand);
  const Dims between = conv_dims(node, expanded, kDepthwise);
  const Dims y = pointwise_dims(node, between, kProject);
  for (const auto& [w, filters] : {std::pair(kExpand, expanded[1]), {kDepthwise, between[1]}, {kProject, y[1]}})
    check_conv_bias(node, w + 1, filters);
  if (node.has_input(kResidual) && node.has_rank(kResidual)) require_shape(node, kResidual, channels_last(y));
  node.set_output(0, DType::kF32, channels_last(y));
}

// The three at the shape of a run.
class PlannedChain {
 public:
  explicit PlannedChain(const BindContext& node)
      : depthwise_(node, expanded(node, channels_first(node.shape(0))), node.shape(kDepthwise)), w_(node.shape(kDepthwise)) {
    if (node.has_input(kExpand)) expand_ = node.shape(kExpand);
    if (node.has_input(kProject)) project_ = node.shape(kProject);
    planned_ = of(channels_first(node.shape(0)));
  }
  const ConvChain& planned() const { return planned_; }

  // x with channels first.
  ConvChain of(const Shape& x) const {
    ConvChain chain;
    if (expand_) chain.expand = make_conv_geometry(x, *expand_, 1, {});
    chain.depthwise = depthwise_.of(chain.expand ? chain.expand->output_shape(x[0]) : x, w_);
    if (project_) chain.project = make_conv_geometry(chain.depthwise.output_shape(x[0]), *project_, 1, {});
    return chain;
  }

 private:
  static Shape expanded(const BindContext& node, const Shape& x) {
    return node.has_input(kExpand) ? make_conv_geometry(x, node.shape(kExpand), 1, {}).output_shape(x[0]) : x;
  }

  PlannedConv depthwise_;
  Shape w_;
  std::optional<Shape> expand_, project_;
  ConvChain planned_;
};

cpu::ConvChainStages stages_of(const BindContext& node) {
  cpu::ConvChainStages stages;
  stages.depthwise = {channels_last_filters(node, kDepthwise, filter_layout(node, kDepthwise)), {}, activation_of(node)};
  if (node.has_input(kExpand))
    stages.expand = {
        channels_last_filters(node, kExpand, dense_filter_layout(node, kExpand)), {}, activation_of(node, "expand_")};
  if (node.has_input(kProject))
    stages.project = {
        channels_last_filters(node, kProject, dense_filter_layout(node, kProject)), {}, activation_of(node, "project_")};
  return stages;
}

uint32_t pack(const BindContext& node) {
  stages_of(node);
  uint32_t packed = 0;
  for (const int w : {kExpand, kDepthwise, kProject})
    if (node.has_input(w)) packed |= input_set(w);
  return packed;
}

BoundKernel bind(const BindContext& node) {
  const PlannedChain chain(node);
  const auto run = [chain, planned = stages_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    const auto given = [&](int i) { return static_cast<size_t>(i) < in.size() ? in[static_cast<size_t>(i)] : ConstTensorView{}; };
    cpu::ConvChainStages stages = planned;
    stages.expand.bias = given(kExpand + 1), stages.depthwise.bias = given(kDepthwise + 1),
    stages.project.bias = given(kProject + 1);
    stages.residual = given(kResidual);
    cpu::conv_chain(context, chain.of(channels_first(in[0].shape)), in[0], stages, out[0]);
  };
  return {.run = run, .workspace = cpu::conv_chain_workspace(chain.planned(), node.threads())};
}

double flops(const BindContext& node) {
  const ConvChain chain = PlannedChain(node).planned();
  const auto of = [](const ConvGeometry& g) {
    return 2.0 * static_cast<double>(g.window.output_size() * g.filters) *
           static_cast<double>(g.channels / g.groups * g.window.kernel_size());
  };
  const double image = of(chain.depthwise) + (chain.expand ? of(*chain.expand) : 0) + (chain.project ? of(*chain.project) : 0);
  return image * static_cast<double>(node.shape(0)[0]);
}

constexpr OpDef chain_op = {.name = "ChannelsLastConvChain",
                            .domain = "tandem",
                            .min_inputs = 2,
                            .max_inputs = 8,
                            .attributes = kAttributes,
                            .infer = infer,
                            .cpu = bind,
                            .pack = pack,
                            .aliases = kResidualInPlace,
                            .flops = flops};

constexpr const OpDef* kOps[] = {&chain_op};

}  // namespace

extern const OpFamily channels_last_conv_chain_ops;
constinit const OpFamily channels_last_conv_chain_ops = kOps;

}  // namespace tandem
