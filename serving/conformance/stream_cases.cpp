// ModelStreamInfer: requests and answers on one call. An extension without a name of its own: servers without it say
// UNIMPLEMENTED.
#include "serving/conformance/grpc_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;
using Responses = std::vector<inference::ModelStreamInferResponse>;

std::string numbered(int64_t rows, int id) {
  inference::ModelInferRequest request = sum_message(rows);
  request.set_id(std::to_string(id));
  return request.SerializeAsString();
}

std::string wrong(int id) {
  inference::ModelInferRequest request = sum_message();
  request.set_id(std::to_string(id));
  request.mutable_inputs(0)->set_datatype("INT32");
  return request.SerializeAsString();
}

GrpcAnswer stream(const ServerUnderTest& server, const std::vector<std::string>& requests) {
  server.need_extensions();
  server.need_model(std::string(kSumModel));
  GrpcAnswer answer = server.grpc_stream("ModelStreamInfer", requests);
  if (answer.status == grpc::UNIMPLEMENTED) throw Skipped("the server has no ModelStreamInfer");
  return answer;
}

Responses ended_well(const GrpcAnswer& answer, size_t count) {
  expect(answer.status == grpc::OK, "the stream must end with OK", code_name(answer.status), answer.text);
  expect(answer.messages.size() == count, "there must be an answer for each request", answer.messages.size());
  Responses responses(count);
  for (size_t i = 0; i < count; ++i)
    expect(responses[i].ParseFromString(answer.messages[i]), "an answer must be a ModelStreamInferResponse");
  return responses;
}

void in_order(const ServerUnderTest& server, size_t) {
  constexpr int kRequests = 20;
  std::vector<std::string> requests;
  for (int i = 0; i < kRequests; ++i) requests.push_back(numbered(1 + i % 4, i));
  const Responses responses = ended_well(stream(server, requests), requests.size());
  for (int i = 0; i < kRequests; ++i) {
    const auto& one = responses[static_cast<size_t>(i)];
    expect(one.error_message().empty(), "no request may fail", one.error_message());
    expect(one.infer_response().id() == std::to_string(i), "answers must come in the order of requests",
           one.infer_response().id());
    expect_sum(one.infer_response(), 1 + i % 4);
  }
}

}  // namespace

void add_stream_cases(WireCases& cases) {
  WireTopic(cases, "streams", Wire::kGrpc)
      .add("a stream without requests ends well",
           [](const ServerUnderTest& server, size_t) { ended_well(stream(server, {}), 0); })
      .add("one request is answered",
           [](const ServerUnderTest& server, size_t) {
             expect_sum(ended_well(stream(server, {numbered(2, 1)}), 1)[0].infer_response(), 2);
           })
      .add("twenty are answered in order", in_order)
      .add("one that fails says so and the stream goes on",
           [](const ServerUnderTest& server, size_t) {
             const Responses responses = ended_well(stream(server, {numbered(1, 1), wrong(2), numbered(3, 3)}), 3);
             expect_sum(responses[0].infer_response(), 1);
             expect(!responses[1].error_message().empty(), "the failed request must have an error_message");
             expect(responses[1].infer_response().id() == "2", "it must have its id", responses[1].infer_response().id());
             expect_sum(responses[2].infer_response(), 3);
           })
      .add("triton_grpc_error ends it at the first failure", [](const ServerUnderTest& server, size_t) {
        server.need_extensions();
        server.need_model(std::string(kSumModel));
        const GrpcAnswer answer = grpc_call({.target = server.grpc_target(),
                                             .path = inference_path("ModelStreamInfer"),
                                             .messages = {wrong(1), numbered(1, 2)},
                                             .headers = {{"triton_grpc_error", "true"}}});
        if (answer.status == grpc::UNIMPLEMENTED) throw Skipped("the server has no ModelStreamInfer");
        refused(answer, grpc::INVALID_ARGUMENT);
      });
}

}  // namespace tandem
