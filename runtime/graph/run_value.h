// A value as it is during a run where a plain tensor does not do: a tensor, a sequence of tensors, or one of these that may be absent.
#pragma once

#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

struct RunValue {
  Container container = Container::kTensor;
  bool present = true;                // false: an optional value that holds nothing
  DType dtype = DType::kUndefined;    // of all tensors
  Tensor tensor = {};                 // of kTensor and kOptional
  std::vector<Tensor> sequence = {};  // of kSequence and kOptionalSequence

  static RunValue of(Tensor tensor) { return {.dtype = tensor.dtype(), .tensor = std::move(tensor)}; }
  static RunValue of(DType dtype, std::vector<Tensor> sequence) {
    return {.container = Container::kSequence, .dtype = dtype, .sequence = std::move(sequence)};
  }
  bool is_sequence() const { return container == Container::kSequence || container == Container::kOptionalSequence; }
};

}  // namespace tandem
