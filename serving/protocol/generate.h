// The generate extension: a request that is a plain JSON object, {"text_input": "..."}, in place of one with tensors.
//
// Each input of the model takes the member of its name: a text, number or boolean, or a list of them. A model with one input and one
// output also has them under the names "text_input" and "text_output". Other members are not looked at.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/graph/limits.h"
#include "serving/core/signature.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/infer_response.h"

namespace tandem {

// A value takes the rank that the model wants: one alone is a row. Throws InvalidArgument naming what is missing or wrong.
InferRequest parse_generate_request(std::string_view body, std::string_view model, const Signature& signature, const Limits& limits);

// {"id"?, "model_name", "model_version", "<output>": a value, or a flat list of more than one}. Throws what write_infer_response throws.
std::string generate_response_json(std::string_view model, int64_t version, const std::optional<std::string>& id,
                                   std::span<const AnswerTensor> outputs, const Signature& signature);

// One server-sent event.
std::string event_of(std::string_view json);

}  // namespace tandem
