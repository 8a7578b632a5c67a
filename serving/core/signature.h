// What a model takes and gives, as a client sees it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

struct TensorSpec {
  std::string name;
  DType dtype = DType::kUndefined;
  Dims dims;
};

struct Signature {
  std::vector<TensorSpec> inputs, outputs;
  // Whether the first dimension of every input is one and the same symbol, and no output denies it: rows of one request, or of
  // several, may then be run together.
  bool batched = false;
  std::string batch_symbol;  // empty unless batched
};

Signature signature_of(const Graph& graph);

// Zeros and empty texts for a request of so many rows. REQUIRES !open_dimension(signature).
std::vector<Tensor> example_inputs(const Signature& signature, int64_t rows);
// A dimension of an input that requests choose, beside the batch: its symbol, or "?".
std::optional<std::string> open_dimension(const Signature& signature);

// Calls visit(symbol, size) for every symbolic dimension of `inputs`, which are in the order of the signature and of its ranks.
template <class Visit>
void visit_symbols(const Signature& signature, std::span<const ConstTensorView> inputs, Visit&& visit) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Dims& dims = signature.inputs[i].dims;
    for (size_t axis = 0; axis < dims.size(); ++axis)
      if (!dims[axis].symbol.empty()) visit(dims[axis].symbol, inputs[i].shape[static_cast<int>(axis)]);
  }
}

}  // namespace tandem
