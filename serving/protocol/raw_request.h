// The raw binary request of the binary tensor extension: a body that is nothing but one tensor.
#pragma once

#include <string_view>

#include "serving/core/signature.h"
#include "serving/protocol/infer_request.h"

namespace tandem {

// The bytes of the model's only input: one row of a batched model, and of another at most one dimension that is not fixed, which
// the number of bytes gives. Text is one element, its bytes as they are, without a length. All outputs are asked for in binary.
// Throws InvalidArgument if the model does not allow it, or the bytes do not fit. `owner` as for parse_infer_request.
InferRequest parse_raw_request(std::string_view body, std::string_view model, const Signature& signature, const std::shared_ptr<std::byte[]>& owner = nullptr);

}  // namespace tandem
