// Requests over gRPC and what is expected of their answers, as messages.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/status.h>

#include <string>

#include "inference_service.pb.h"
#include "serving/conformance/http_infer-inl.h"
#include "serving/conformance/wire_case.h"
#include "serving/protocol/datatype.h"

namespace tandem::wire {

inline std::string code_name(int code) {
  constexpr const char* kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return code >= 0 && code < 17 ? kNames[code] : std::to_string(code);
}

// The one message of an answer. Throws unless the call went well.
template <class Response>
Response answered(const GrpcAnswer& answer) {
  expect(answer.status == grpc::OK, "the status must be OK", code_name(answer.status), answer.text);
  expect(answer.messages.size() == 1, "there must be one message", answer.messages.size());
  Response response;
  expect(response.ParseFromString(answer.messages[0]), "the message must be a " + response.GetTypeName());
  return response;
}

template <class Response>
Response ask(const ServerUnderTest& server, const std::string& method, const google::protobuf::MessageLite& request) {
  return answered<Response>(server.grpc(method, request.SerializeAsString()));
}

inline void refused(const GrpcAnswer& answer, int code) {
  expect(answer.status == code, "the status must be " + code_name(code), code_name(answer.status), answer.text);
  expect(!answer.text.empty(), "the status must come with a text");
}

// A right request to the model kSumModel with raw contents, to be changed by the cases.
inline inference::ModelInferRequest sum_message(int64_t rows = 1) {
  inference::ModelInferRequest request;
  request.set_model_name(std::string(kSumModel));
  for (int i = 0; i < 2; ++i) {
    auto& input = *request.add_inputs();
    input.set_name("INPUT" + std::to_string(i));
    input.set_datatype("FP32");
    input.add_shape(rows);
    input.add_shape(4);
    request.add_raw_input_contents(bytes_of(input_rows(i, rows)));
  }
  return request;
}

// The bytes of an output: raw, or the typed contents of f32, which the protocol allows too.
inline std::string output_bytes(const inference::ModelInferResponse& response, const std::string& name) {
  for (int i = 0; i < response.outputs_size(); ++i) {
    const auto& output = response.outputs(i);
    if (output.name() != name) continue;
    if (response.raw_output_contents_size() > i) return response.raw_output_contents(i);
    return bytes_of({output.contents().fp32_contents().begin(), output.contents().fp32_contents().end()});
  }
  throw Error(ErrorCode::kUnavailable, "the answer has no output '" + name + "'");
}

inline void expect_sum_output(const inference::ModelInferResponse& response, int which, int64_t rows) {
  const std::string name = "OUTPUT" + std::to_string(which);
  expect(output_bytes(response, name) == bytes_of(output_rows(which, rows)), "the values of " + name + " must be right");
}

inline void expect_sum(const inference::ModelInferResponse& response, int64_t rows) {
  for (int i = 0; i < 2; ++i) expect_sum_output(response, i, rows);
}

inline inference::ModelInferResponse ask_sum(const ServerUnderTest& server, const inference::ModelInferRequest& request) {
  server.need_model(std::string(kSumModel));
  return ask<inference::ModelInferResponse>(server, "ModelInfer", request);
}

}  // namespace tandem::wire
