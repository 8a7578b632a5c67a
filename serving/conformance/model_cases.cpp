// Any model, whatever it computes: its answers must be well-formed, and the same in every form and over both protocols.
#include "serving/conformance/grpc_infer-inl.h"
#include "serving/conformance/wire_case.h"
#include "serving/load/load_inputs.h"

namespace tandem {
namespace {

using namespace wire;

const std::string& model_of(const ServerUnderTest& server) {
  if (server.model().empty()) throw Skipped("no --model was named");
  return server.model();
}

// Open dimensions are 1, and all inputs the same in every case.
std::vector<InferInput> inputs_of(const ModelFace& face) {
  InputChoice choice;
  for (const TensorFace& input : face.inputs) {
    choice.shapes[input.name] = input.shape;
    for (int64_t& dim : choice.shapes[input.name])
      if (dim < 0) dim = 1;
  }
  return random_inputs(face, choice);
}

HttpReply infer(const ServerUnderTest& server, const ModelFace& face, TensorForm form) {
  const HttpPeer peer = server.http();
  return peer.talk({http_infer_request(peer.address(), face.name, inputs_of(face), form)}, 1).front();
}

HttpAnswer as_answer(const HttpReply& reply) {
  const std::string length = reply.header("inference-header-content-length");
  return {reply.status, reply.body, length.empty() ? std::nullopt : std::optional<size_t>(std::stoul(length))};
}

void http_form(const ServerUnderTest& server, size_t form) {
  const ModelFace face = ask_http_metadata(server.http().address(), model_of(server));
  check_http_answer(face, as_answer(infer(server, face, static_cast<TensorForm>(form))));
}

void over_grpc(const ServerUnderTest& server, size_t) {
  const ModelFace face = ask_grpc_metadata(server.grpc_target(), model_of(server));
  check_grpc_answer(face, grpc_exchange(server.grpc_target(), "ModelInfer", grpc_infer_request(face.name, inputs_of(face))));
}

void agree(const ServerUnderTest& server, size_t) {
  const ModelFace face = ask_http_metadata(server.http().address(), model_of(server));
  const json answer = answered(infer(server, face, TensorForm::kJson));
  inference::ModelInferResponse response;
  response.ParseFromString(grpc_exchange(server.grpc_target(), "ModelInfer", grpc_infer_request(face.name, inputs_of(face))));
  for (const auto& output : response.outputs()) {
    const json other = output_named(answer, output.name());
    expect(other.at("datatype") == output.datatype(), "datatypes must agree", output.name());
    expect(other.at("shape") == json(std::vector<int64_t>(output.shape().begin(), output.shape().end())), "shapes must agree",
           output.name());
    if (output.datatype() == "FP32")
      expect(bytes_of(other.at("data").get<Rows>()) == output_bytes(response, output.name()), "values must agree bit for bit",
             output.name());
  }
}

}  // namespace

void add_model_cases(WireCases& cases) {
  WireTopic(cases, "your model", Wire::kHttp).add("JSON tensors", http_form, static_cast<size_t>(TensorForm::kJson));
  WireTopic(cases, "your model", Wire::kHttp, "binary_tensor_data")
      .add("binary tensors", http_form, static_cast<size_t>(TensorForm::kBinary));
  WireTopic(cases, "your model", Wire::kGrpc).add("over gRPC", over_grpc);
  WireTopic(cases, "your model", Wire::kBoth).add("both protocols answer alike", agree);
}

}  // namespace tandem
