// Inputs of many requests in one file, as perf_analyzer's --input-data takes it:
//
//   {"data": [{"x": [1, 2], "ids": {"content": [3, 4], "shape": [2]}, "image": {"b64": "AACAPw=="}}, ...]}
//
// An entry is a request. Values are in row-major order, or base64 of the tensor's bytes (little-endian; of a text its length in 4 bytes, then itself).
// A "shape" may leave out the batch, which is 1 then. Entries that are lists of entries (of sequences) follow each other. What the
// file says of answers ("validation_data") is not looked at.
#pragma once

#include <string_view>
#include <vector>

#include "serving/load/load_inputs.h"

namespace tandem {

// At least one request. Throws InvalidArgument naming the entry and the input: for an input that the model does not have, a shape that is not
// said or does not fit, values that are too many, too few or out of range.
std::vector<std::vector<InferInput>> inputs_of_data_file(const ModelFace& model, const InputChoice& choice, std::string_view text);

}  // namespace tandem
