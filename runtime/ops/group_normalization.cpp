// GroupNormalization (ONNX 18: one scale a group; 21: one a channel), InstanceNormalization (1 to 22: every channel its own
// group), and tandem.GroupNormalizationGrad(dy, x, scale) -> dx, dscale, dbias for all three (without num_groups:
// InstanceNormalization's).
#include "kernels/api/group_norm.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kInstanceAttributes[] = {"epsilon", "consumed_inputs"},
                           kGroupAttributes[] = {"epsilon", "num_groups", "stash_type"};
constexpr std::string_view kGradAttributes[] = {"epsilon", "num_groups"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr Alias kGradInPlace[] = {{.input = 0, .output = 0}, {.input = 1, .output = 0}};
constexpr float kEpsilon = 1e-5f;

// 0: as many groups as channels.
int64_t groups_of(const NodeContext& node) {
  if (node.node().def->name == "GroupNormalization") node.require(node.has_attribute("num_groups"), "num_groups is required");
  const int64_t groups = node.get_int("num_groups", 0);
  node.require(groups >= 1 || !node.has_attribute("num_groups"), "num_groups must be positive", groups);
  return groups;
}

// Inputs first to last hold one value a channel of input x, or (by_group) one a group.
void require_vectors(const InferenceContext& node, int x, int first, int last, bool by_group, bool by_channel) {
  const int64_t groups = groups_of(node);
  const Dim channels = node.has_rank(x) ? node.dims(x)[1] : Dim();
  node.require(groups == 0 || !channels.known() || channels.size % groups == 0,
               "num_groups must divide the channels (channels, num_groups)", channels.size, groups);
  for (int i = first; i <= last; ++i) {
    node.require_same_dtype(x, i);
    if (!node.has_rank(i)) continue;
    const Dims& dims = node.dims(i);
    const bool fits = dims.size() == 1 &&
                      ((by_channel && !differ(dims[0], channels)) || (by_group && groups > 0 && !differ(dims[0], Dim(groups))));
    node.require(fits,
                 by_channel ? "scale and bias need one value a channel (input, its dims)"
                            : "scale and bias need one value a group (input, its dims)",
                 i, to_string(dims));
  }
}

template <bool by_group>
void infer(InferenceContext& node) {
  require_float(node, 0);
  node.require(!node.has_rank(0) || node.rank(0) >= 2, "X must have a batch and a channel axis");
  require_vectors(node, 0, 1, 2, by_group, !by_group);
  node.set_output_like(0, 0);
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  node.require(!node.has_rank(1) || node.rank(1) >= 2, "X must have a batch and a channel axis");
  require_vectors(node, 1, 2, 2, true, true);
  node.set_output_like(0, 1);
  node.set_output_like(1, 2);
  node.set_output_like(2, 2);
}

void gradient(GradientContext& node) {
  Attributes attributes = {{"epsilon", node.get_float("epsilon", kEpsilon)}};
  if (node.has_attribute("num_groups")) attributes["num_groups"] = node.get_int("num_groups", 0);
  const auto grads = node.emit_many("GroupNormalizationGrad", {node.output_grad(), node.input(0), node.input(1)}, 3,
                                    std::move(attributes), "tandem");
  for (int i = 0; i < 3; ++i)
    if (node.wants(i)) node.set_input_grad(i, grads[static_cast<size_t>(i)]);
}

BoundKernel bind(const BindContext& node) {
  return {.run = [groups = groups_of(node), epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon))](
                     const KernelContext& context, Inputs in, Outputs out) {
    cpu::group_norm(context, in[0], in[1], in[2], groups ? groups : in[0].shape[1], out[0], epsilon);
  }};
}

BoundKernel bind_grad(const BindContext& node) {
  return {.run = [groups = groups_of(node), epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon))](
                     const KernelContext& context, Inputs in, Outputs out) {
    const GroupNormGradViews views = {.dy = in[0], .x = in[1], .scale = in[2], .dx = out[0], .dscale = out[1], .dbias = out[2]};
    cpu::group_norm_grad(context, views, groups ? groups : in[1].shape[1], epsilon);
  }};
}

constexpr OpDef definition(std::string_view name, int since, int until, std::span<const std::string_view> attributes,
                           void (*rule)(InferenceContext&)) {
  return {.name = name,
          .since = since,
          .until = until,
          .min_inputs = 3,
          .max_inputs = 3,
          .attributes = attributes,
          .infer = rule,
          .gradient = gradient,
          .cpu = bind,
          .aliases = kInPlace};
}
constexpr int kOpen = std::numeric_limits<int>::max();

constexpr OpDef instance_normalization_op = definition("InstanceNormalization", 1, kOpen, kInstanceAttributes, infer<false>);
constexpr OpDef group_normalization_op_18 = definition("GroupNormalization", 18, 21, kGroupAttributes, infer<true>);
constexpr OpDef group_normalization_op_21 = definition("GroupNormalization", 21, kOpen, kGroupAttributes, infer<false>);
constexpr OpDef group_normalization_grad_op = {.name = "GroupNormalizationGrad",
                                               .domain = "tandem",
                                               .min_inputs = 3,
                                               .max_inputs = 3,
                                               .min_outputs = 3,
                                               .max_outputs = 3,
                                               .attributes = kGradAttributes,
                                               .infer = infer_grad,
                                               .cpu = bind_grad,
                                               .aliases = kGradInPlace};

constexpr const OpDef* kOps[] = {&instance_normalization_op, &group_normalization_op_18, &group_normalization_op_21,
                                 &group_normalization_grad_op};

}  // namespace

extern const OpFamily group_normalization_ops;
constinit const OpFamily group_normalization_ops = kOps;

}  // namespace tandem
