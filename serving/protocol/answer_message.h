// Inference responses of gRPC: wire bytes straight from the model's outputs, which is the one copy they get.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "serving/protocol/infer_response.h"

namespace tandem {

// What a response says beside its tensors.
struct InferMessageHead {
  std::string_view model;
  int64_t version = 0;
  std::string_view id = {};
  bool final_response = false;  // the parameter triton_final_response: of a stream's responses
  std::optional<Explanation> explanation = {};  // parameters too
};

// A ModelInferResponse on the wire. Outputs are raw, whatever `binary` says of them; those with a region go there, and their entry
// of raw_output_contents is empty. Throws what write_to_region throws; InvalidArgument for more than gRPC can send.
std::string write_infer_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs, const SharedMemory* memory = nullptr);
// A ModelStreamInferResponse on the wire, with such a response in it.
std::string write_stream_message(const InferMessageHead& head, std::span<const AnswerTensor> outputs, const SharedMemory* memory = nullptr);
// The same for a request that failed. The response in it has no tensors; version 0 is left out.
std::string write_stream_error(std::string_view error, const InferMessageHead& head);

}  // namespace tandem
