// One inference request of gRPC, unary or of a stream: from its bytes to a queued call, and from the outputs to the answer's bytes.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "serving/engine/inference_call.h"
#include "serving/grpc/grpc_server.h"

namespace tandem::grpc_detail {

enum class AnswerForm : uint8_t { kUnary, kStream };  // ModelInferResponse, ModelStreamInferResponse

// How a request ended.
struct Outcome {
  grpc::Status status;      // with a stream's request too
  grpc::ByteBuffer answer;  // set if it was answered; of a stream's request that failed: the message that says so
  std::optional<std::chrono::milliseconds> retry_after = {};  // of a refusal because of overload
};

// Exactly once, on any thread, perhaps before begin_inference returns.
using Done = std::function<void(Outcome outcome)>;

// What a request is begun with.
struct InferenceContext {
  const Backend& backend;
  const Limits& limits;
  std::string peer;
  const RunLater* here = nullptr;  // of the thread that begins it, as of QueuedRequest
};

// `deadline` of the client, if it has one. The call, to be cancelled by; null if the request ended at once.
std::shared_ptr<InferenceCall> begin_inference(const InferenceContext& context, const grpc::ByteBuffer& request,
                                               std::chrono::system_clock::time_point deadline, AnswerForm form, Done done);

}  // namespace tandem::grpc_detail
