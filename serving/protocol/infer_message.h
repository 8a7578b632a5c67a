// Inference requests and responses of gRPC: protobuf messages, to and from tensors.
//
// Numbers that come raw are not copied: tensors lie in the message and keep it alive. Answers are written as wire bytes straight from the
// model's outputs, which is the one copy they get.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/graph/limits.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/infer_response.h"

namespace inference {
class ModelInferRequest;
}

namespace tandem {

// Typed contents or raw ones. Throws InvalidArgument naming the field, as parse_infer_request does.
InferRequest read_infer_message(const std::shared_ptr<inference::ModelInferRequest>& message, const Limits& limits);

// What a response says beside its tensors.
struct InferMessageHead {
  std::string_view model;
  int64_t version = 0;
  std::string_view id = {};
  bool final_response = false;  // the parameter triton_final_response: of a stream's responses
};

// A ModelInferResponse on the wire; all outputs raw, whatever `binary` says of them.
std::string write_infer_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs);
// A ModelStreamInferResponse on the wire, with such a response in it.
std::string write_stream_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs);
// The same for a request that failed. The response in it has no tensors; version 0 is left out.
std::string write_stream_error(std::string_view error, const InferMessageHead& head);

}  // namespace tandem
