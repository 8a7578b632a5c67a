#include "serving/conformance/server_under_test.h"

#include <nlohmann/json.hpp>

#include "inference_service.pb.h"
#include "kernels/base/error.h"
#include "serving/conformance/wire_case.h"

namespace tandem {

ServerUnderTest::ServerUnderTest(const ServerAddresses& addresses) : addresses_(addresses) {
  require(has_http() || has_grpc(), "no address of a server given");
  if (has_grpc()) ask_grpc();
  if (has_http()) ask_http();
}

void ServerUnderTest::ask_http() {
  const auto root = nlohmann::json::parse(http().get("/v2").body, nullptr, false);
  if (!root.is_object()) return;  // a case tells
  name_ = root.value("name", nlohmann::json()).is_string() ? root["name"].get<std::string>() : "";
  for (const auto& one : root.value("extensions", nlohmann::json::array()))
    if (one.is_string()) extensions_.insert(one.get<std::string>());
}

void ServerUnderTest::ask_grpc() {
  const GrpcAnswer answer = grpc("ServerMetadata", "");
  check(answer.status != 14, ErrorCode::kUnavailable, "no gRPC server answers at " + addresses_.grpc, answer.text);
  inference::ServerMetadataResponse response;
  if (answer.messages.size() != 1 || !response.ParseFromString(answer.messages[0])) return;  // a case tells
  name_ = response.name();
  extensions_.insert(response.extensions().begin(), response.extensions().end());
}

GrpcAnswer ServerUnderTest::grpc_stream(const std::string& method, const std::vector<std::string>& requests) const {
  return grpc_call({.target = addresses_.grpc, .path = inference_path(method), .messages = requests});
}

bool ServerUnderTest::serves(const std::string& name) const {
  if (has_http()) return http().get("/v2/models/" + name).status == 200;
  inference::ModelMetadataRequest request;
  request.set_name(name);
  return grpc("ModelMetadata", request.SerializeAsString()).status == 0;
}

void ServerUnderTest::need_extensions() const {
  if (extensions_.empty()) throw Skipped("the server announces none of Triton's extensions");
}

void ServerUnderTest::need_model(const std::string& name) const {
  if (!serves(name)) throw Skipped("the server has no model '" + name + "' (--write-models makes it)");
}

}  // namespace tandem
