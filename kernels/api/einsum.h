// Einstein sums (ONNX Einsum-12): any number of tensors, ellipses, repeated indices, implicit output. Floats f32, f64; integers
// wrap.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// The axes of one tensor as indices, numbered over the equation. An axis of an ellipsis is an index of its own, counted from the
// right.
using EinsumTerm = std::vector<int>;

struct EinsumEquation {
  static constexpr int kMostIndices = 52;  // as many as there are letters
  std::vector<EinsumTerm> inputs;
  EinsumTerm output;
  int indices = 0;
};

// `ranks` are those of the inputs. Throws InvalidArgument telling what is wrong with the equation.
EinsumEquation parse_einsum(std::string_view equation, std::span<const int> ranks);
// The equation in letters, with all ellipses spelt out.
std::string to_string(const EinsumEquation&);
// Of each index the size; 1 gives way to any other. Only the shapes are looked at. Throws InvalidArgument where they differ.
using EinsumSizes = std::array<int64_t, EinsumEquation::kMostIndices>;
EinsumSizes einsum_sizes(const EinsumEquation&, std::span<const ConstTensorView> inputs);

namespace cpu {

// Inputs are multiplied from left to right: what belongs to both and is needed no more is summed by a matrix product, transposed
// only where a product cannot read an operand as it lies. `y` has the shape of the output. REQUIRES: einsum_workspace bytes.
void einsum(const KernelContext&, const EinsumEquation&, std::span<const ConstTensorView> inputs, TensorView y);
// Only the shapes and types of the inputs are looked at.
size_t einsum_workspace(const EinsumEquation&, std::span<const ConstTensorView> inputs, int threads);

}  // namespace cpu
}  // namespace tandem
