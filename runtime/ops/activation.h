// The activation that a fused op applies to its result, by its ONNX name.
#pragma once

#include "kernels/api/gemm.h"
#include "runtime/graph/contexts.h"

namespace tandem {

// The attribute `activation`: "" or absent (none), Relu, Gelu (exact), Sigmoid, Tanh, Silu. Throws InvalidArgument for another.
inline cpu::Activation activation_of(const NodeContext& node) {
  constexpr std::pair<std::string_view, cpu::Activation> kNames[] = {
      {"", cpu::Activation::kNone},           {"Relu", cpu::Activation::kRelu}, {"Gelu", cpu::Activation::kGelu},
      {"Sigmoid", cpu::Activation::kSigmoid}, {"Tanh", cpu::Activation::kTanh}, {"Silu", cpu::Activation::kSilu},
  };
  const std::string wanted = node.get_string("activation", "");
  for (const auto& [name, activation] : kNames)
    if (name == wanted) return activation;
  node.reject("activation must be Relu, Gelu, Sigmoid, Tanh or Silu", wanted);
}

}  // namespace tandem
