// The function of one value that the epilogue of a product or convolution applies last: none, or one of elementwise.h.
//
// Epilogues take relu, leaky relu, clip, elu, sigmoid, hard sigmoid, tanh, both gelus, swish, hard swish, mish and softplus, on both
// devices, with the formulas and the accuracy of the op itself.
#pragma once

#include "kernels/api/elementwise.h"

namespace tandem {

struct Activation {
  bool exists = false;
  UnaryOp function = UnaryOp::kRelu;
  UnaryParameters parameters = {};

  constexpr Activation() = default;
  constexpr Activation(UnaryOp op, UnaryParameters of_op = {}) : exists(true), function(op), parameters(of_op) {}
  constexpr explicit operator bool() const { return exists; }
  constexpr bool is(UnaryOp op) const { return exists && function == op; }
};

}  // namespace tandem
