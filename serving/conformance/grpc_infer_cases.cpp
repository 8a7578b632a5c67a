// Inference over gRPC, and that both protocols answer alike.
#include <array>

#include "serving/conformance/grpc_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;
using Request = inference::ModelInferRequest;

Request typed(int64_t rows) {
  Request request = sum_message(rows);
  request.clear_raw_input_contents();
  for (int i = 0; i < 2; ++i)
    for (const float one : input_rows(i, rows)) request.mutable_inputs(i)->mutable_contents()->add_fp32_contents(one);
  return request;
}

void add_values(WireTopic& topic) {
  constexpr std::array<size_t, 3> kRows = {1, 2, 8};
  for (const size_t rows : kRows)
    topic.add(
        "raw contents, a batch of " + std::to_string(rows),
        [](const ServerUnderTest& server, size_t count) {
          const auto rows = static_cast<int64_t>(count);
          expect_sum(ask_sum(server, sum_message(rows)), rows);
        },
        rows);
  topic.add("typed contents", [](const ServerUnderTest& server, size_t) { expect_sum(ask_sum(server, typed(2)), 2); })
      .add("inputs in another order",
           [](const ServerUnderTest& server, size_t) {
             Request request = sum_message(2);
             request.mutable_inputs()->SwapElements(0, 1);
             request.mutable_raw_input_contents()->SwapElements(0, 1);
             expect_sum(ask_sum(server, request), 2);
           })
      .add("outputs are raw, one entry each",
           [](const ServerUnderTest& server, size_t) {
             const auto response = ask_sum(server, sum_message());
             expect(response.raw_output_contents_size() == response.outputs_size(),
                    "raw_output_contents must have an entry for each output", response.raw_output_contents_size());
           })
      .add("a compressed request", [](const ServerUnderTest& server, size_t) {
        server.need_model(std::string(kSumModel));
        const GrpcAnswer answer = grpc_call({.target = server.grpc_target(),
                                             .path = inference_path("ModelInfer"),
                                             .messages = {sum_message(8).SerializeAsString()},
                                             .gzip = true});
        expect_sum(answered<inference::ModelInferResponse>(answer), 8);
      });
}

void add_envelope(WireTopic& topic) {
  topic
      .add("the answer names model and id",
           [](const ServerUnderTest& server, size_t) {
             Request request = sum_message();
             request.set_id("request 7");
             const auto response = ask_sum(server, request);
             expect(response.model_name() == kSumModel, "model_name must be the model's", response.model_name());
             expect(response.id() == "request 7", "id must be the request's", response.id());
           })
      .add("shapes and datatypes of outputs",
           [](const ServerUnderTest& server, size_t) {
             const auto response = ask_sum(server, sum_message(3));
             for (const auto& output : response.outputs()) {
               const bool right =
                   output.shape_size() == 2 && output.shape(0) == 3 && output.shape(1) == 4 && output.datatype() == "FP32";
               expect(right, "an output must be FP32 [3, 4]", output.ShortDebugString());
             }
           })
      .add("a version named",
           [](const ServerUnderTest& server, size_t) {
             Request request = sum_message();
             const std::string version = ask_sum(server, request).model_version();
             if (version.empty()) throw Skipped("the server tells no version");
             request.set_model_version(version);
             expect(ask_sum(server, request).model_version() == version, "model_version must be the one asked for");
           })
      .add("an output alone",
           [](const ServerUnderTest& server, size_t) {
             Request request = sum_message(2);
             request.add_outputs()->set_name("OUTPUT1");
             const auto response = ask_sum(server, request);
             expect(response.outputs_size() == 1, "there must be the output asked for", response.outputs_size());
             expect_sum_output(response, 1, 2);
           })
      .add("outputs in another order", [](const ServerUnderTest& server, size_t) {
        Request request = sum_message(2);
        for (const char* name : {"OUTPUT1", "OUTPUT0"}) request.add_outputs()->set_name(name);
        expect_sum(ask_sum(server, request), 2);
      });
}

// grpc.health.v1: HealthCheckRequest {string service = 1}, HealthCheckResponse {enum status = 1}, SERVING = 1.
GrpcAnswer check_health(const ServerUnderTest& server, const std::string& request) {
  GrpcAnswer answer = grpc_call({.target = server.grpc_target(), .path = "/grpc.health.v1.Health/Check", .messages = {request}});
  if (answer.status == grpc::UNIMPLEMENTED) throw Skipped("the server has no grpc.health.v1");
  return answer;
}

void add_health_service(WireTopic& topic) {
  topic
      .add("grpc.health.v1: the server serves",
           [](const ServerUnderTest& server, size_t) {
             const GrpcAnswer answer = check_health(server, "");
             expect(answer.status == grpc::OK && answer.messages.size() == 1, "the status must be OK", code_name(answer.status),
                    answer.text);
             expect(answer.messages[0] == "\x08\x01", "the answer must be SERVING");
           })
      .add("grpc.health.v1: an unknown service is NOT_FOUND",
           [](const ServerUnderTest& server, size_t) { refused(check_health(server, "\x0a\x08oip_none"), grpc::NOT_FOUND); });
}

void agree(const ServerUnderTest& server, size_t count) {
  const auto rows = static_cast<int64_t>(count);
  const auto response = ask_sum(server, sum_message(rows));
  const json answer = ask_sum(server, sum_request(rows));
  expect(answer.value("model_version", "") == response.model_version(), "model_version must agree", response.model_version());
  for (const char* name : {"OUTPUT0", "OUTPUT1"})
    expect(bytes_of(output_named(answer, name).at("data").get<Rows>()) == output_bytes(response, name), "the outputs must agree",
           name);
}

}  // namespace

void add_grpc_infer_cases(WireCases& cases) {
  WireTopic topic(cases, "inference", Wire::kGrpc), health(cases, "health", Wire::kGrpc);
  add_values(topic);
  add_envelope(topic);
  add_health_service(health);
  WireTopic(cases, "inference", Wire::kBoth).add("both protocols answer alike", agree, 3);
}

}  // namespace tandem
