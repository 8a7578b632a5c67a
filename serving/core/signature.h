// What a model takes and gives, as a client sees it.
#pragma once

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

}  // namespace tandem
