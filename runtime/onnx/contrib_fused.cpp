// What onnxruntime's optimizers fuse convolutions, products and group normalization with: FusedConv, FusedGemm, GroupNorm,
// SkipGroupNorm, and convolution of images whose channels come last.
#include <algorithm>
#include <numeric>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kConv[] = {"activation", "activation_params", "auto_pad", "dilations",
                                      "group",      "kernel_shape",      "pads",     "strides"};
constexpr std::string_view kGemm[] = {"activation", "activation_alpha", "activation_beta", "activation_gamma", "alpha",
                                      "beta",       "transA",           "transB"};
constexpr std::string_view kGroupNorm[] = {"activation", "channels_last", "epsilon", "groups"};
constexpr float kGroupEpsilon = 1e-5f;

// An activation by its name, with what numbers it takes in the order of onnxruntime's parameters.
ValueId activated(ContribContext& node, ValueId x, const std::string& name, const std::vector<float>& numbers) {
  static constexpr std::string_view kPlain[] = {"Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish"};
  static constexpr std::string_view kWithNumbers[] = {"LeakyRelu", "Elu", "Celu", "HardSigmoid", "Selu", "ThresholdedRelu"};
  if (name.empty()) return x;
  if (std::ranges::find(kPlain, name) != std::end(kPlain)) return node.emit(name, {x});
  if (name == "Clip") {
    node.require(numbers.size() == 2, "Clip takes two activation_params (has)", numbers.size());
    const auto bound = [&](size_t i) { return node.scalar(static_cast<double>(numbers[i]), node.dtype(x)); };
    return node.emit("Clip", {x, bound(0), bound(1)});
  }
  node.require(std::ranges::find(kWithNumbers, name) != std::end(kWithNumbers), "this activation is not supported", name);
  Attributes attributes;
  if (!numbers.empty()) attributes["alpha"] = numbers[0];
  if (numbers.size() > 1) attributes[name == "Selu" ? "gamma" : "beta"] = numbers[1];
  return node.emit(name, {x}, attributes);
}

Attributes some_of(const ContribContext& node, std::span<const std::string_view> names) {
  Attributes kept;
  for (const std::string_view name : names)
    if (const auto found = node.node().attributes.find(name); found != node.node().attributes.end()) kept.insert(*found);
  return kept;
}

// X, W, B, Z: the activation of the convolution plus Z.
void fused_conv(ContribContext& node) {
  const ValueId product =
      node.emit("Conv", {node.input(0), node.input(1), node.input(2)}, some_of(node, std::span(kConv).subspan(2)));
  const ValueId sum = node.sum({product, node.input(3)});
  node.set_output(0, activated(node, sum, node.get_string("activation", ""), node.get_floats("activation_params")));
}

void fused_gemm(ContribContext& node) {
  const ValueId product =
      node.emit("Gemm", {node.input(0), node.input(1), node.input(2)}, some_of(node, std::span(kGemm).subspan(4)));
  std::vector<float> numbers;
  for (const std::string_view name : {"activation_alpha", "activation_beta", "activation_gamma"})
    if (node.has_attribute(name)) numbers.push_back(node.get_float(name, 0));
  node.set_output(0, activated(node, product, node.get_string("activation", ""), numbers));
}

// [batch, ..., channels] <-> [batch, channels, ...]
ValueId channels_first(ContribContext& node, ValueId x) {
  std::vector<int64_t> perm(static_cast<size_t>(node.rank(x)));
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::rotate(perm.begin() + 1, perm.end() - 1, perm.end());
  return node.transpose(x, perm);
}
ValueId channels_last(ContribContext& node, ValueId x) {
  std::vector<int64_t> perm(static_cast<size_t>(node.rank(x)));
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::rotate(perm.begin() + 1, perm.begin() + 2, perm.end());
  return node.transpose(x, perm);
}

void conv_of_last_channels(ContribContext& node) {
  const ValueId x = channels_first(node, node.input(0)), weights = channels_first(node, node.input(1));
  const ValueId y = node.emit("Conv", {x, weights, node.input(2)}, some_of(node, std::span(kConv).subspan(2)));
  node.set_output(0, channels_last(node, y));
}

// gamma and beta are f32 whatever the type of x is; `activation` 1 is SiLU.
ValueId group_normalized(ContribContext& node, ValueId x, ValueId gamma, ValueId beta) {
  const bool last = node.get_int("channels_last", 1) != 0;
  const int64_t activation = node.get_int("activation", 0);
  node.require(activation == 0 || activation == 1, "activation must be 0 or 1", activation);
  const ValueId wide = node.cast(last ? channels_first(node, x) : x, DType::kF32);
  const ValueId y = node.emit("GroupNormalization", {wide, node.cast(gamma, DType::kF32), node.cast(beta, DType::kF32)},
                              {{"num_groups", node.get_int("groups", 0)}, {"epsilon", node.get_float("epsilon", kGroupEpsilon)}});
  const ValueId active = activation == 1 ? node.emit("Mul", {y, node.emit("Sigmoid", {y})}) : y;
  const ValueId narrow = node.cast(active, node.dtype(x));
  return last ? channels_last(node, narrow) : narrow;
}

void group_norm(ContribContext& node) { node.set_output(0, group_normalized(node, node.input(0), node.input(1), node.input(2))); }

// X, gamma, beta, skip, bias: of the sum of X, skip ([batch, channels] is the same for every pixel) and bias.
void skip_group_norm(ContribContext& node) {
  const bool last = node.get_int("channels_last", 1) != 0;
  const std::vector<int64_t> pixels = last ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{2, 3};
  const ValueId skip = node.input(3), bias = node.input(4);
  const ValueId sum = node.sum({node.input(0), node.rank(skip) == 2 ? node.unsqueeze(skip, pixels) : skip,
                                bias == kNoValue || last ? bias : node.unsqueeze(bias, {1, 2})});
  node.set_output(0, group_normalized(node, sum, node.input(1), node.input(2)));
  node.set_output(1, sum);
}

constexpr ContribOp kOps[] = {
    contrib_op("FusedConv", 2, 4, 1, kConv, fused_conv),
    contrib_op("FusedGemm", 2, 3, 1, kGemm, fused_gemm),
    contrib_op("NhwcConv", 2, 3, 1, std::span(kConv).subspan(2), conv_of_last_channels),
    contrib_op("GroupNorm", 3, 3, 1, kGroupNorm, group_norm),
    contrib_op("SkipGroupNorm", 4, 5, 2, kGroupNorm, skip_group_norm),
};

}  // namespace

constinit const ContribFamily contrib_fused_ops = kOps;

}  // namespace tandem
