// A request held against the model it names: every input there once, of the right type and shape; outputs that exist.
#pragma once

#include <string_view>
#include <vector>

#include "serving/core/signature.h"
#include "serving/protocol/infer_request.h"

namespace tandem {

// The request's tensors in the model's order. Shapes may differ from the model's by trailing dimensions of 1 (a column declared
// [batch, 1] may come as [n]); they are then reshaped. Throws InvalidArgument in the words that clients of Triton know.
std::vector<Tensor> match_inputs(const InferRequest& request, std::string_view model, const Signature& signature);

struct OutputChoice {
  size_t index = 0;  // into signature.outputs
  bool binary = false;
  int64_t classes = 0;
  std::optional<RegionRange> region = {};  // where its bytes go
};

// What to answer, in the order asked for: all outputs unless the request names some.
std::vector<OutputChoice> match_outputs(const InferRequest& request, std::string_view model, const Signature& signature);

}  // namespace tandem
