// The activation that a fused op applies to its result, as attributes: `activation` is the name of an ONNX op (GeluTanh for Gelu with
// approximate = tanh), `activation_alpha` and `activation_beta` are its parameters in the order of kernels/api/elementwise.h, Clip's bounds
// among them.
#pragma once

#include "kernels/api/activation.h"
#include "runtime/graph/contexts.h"

namespace tandem {

inline constexpr std::pair<std::string_view, UnaryOp> kFusableActivations[] = {
    {"Relu", UnaryOp::kRelu},       {"LeakyRelu", UnaryOp::kLeakyRelu},     {"Clip", UnaryOp::kClip}, {"Elu", UnaryOp::kElu},
    {"Sigmoid", UnaryOp::kSigmoid}, {"HardSigmoid", UnaryOp::kHardSigmoid}, {"Tanh", UnaryOp::kTanh}, {"Gelu", UnaryOp::kGelu},
    {"GeluTanh", UnaryOp::kGeluTanh}, {"Swish", UnaryOp::kSwish}, {"HardSwish", UnaryOp::kHardSwish}, {"Mish", UnaryOp::kMish},
    {"Softplus", UnaryOp::kSoftplus},
};

// "" or no attribute: none. `prefix`: of the attributes' names, in a node of several stages. Throws InvalidArgument for another name.
inline Activation activation_of(const NodeContext& node, const std::string& prefix = "") {
  const std::string attribute = prefix + "activation", wanted = node.get_string(attribute, "");
  if (wanted.empty()) return {};
  for (const auto& [name, function] : kFusableActivations)
    if (name == wanted) return {function, {node.get_float(attribute + "_alpha", 0), node.get_float(attribute + "_beta", 0)}};
  node.reject("activation must be one that an epilogue takes (runtime/ops/activation.h)", wanted);
}

}  // namespace tandem
