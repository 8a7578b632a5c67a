// Health and metadata: what a client asks before it infers.
#include <grpcpp/support/status.h>

#include <algorithm>

#include "inference_service.pb.h"
#include "serving/conformance/grpc_infer-inl.h"
#include "serving/conformance/http_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;

const std::string kSum(kSumModel);

void is_ok(const ServerUnderTest& server, const std::string& path) {
  const HttpReply reply = server.http().get(path);
  expect(reply.status == 200, "the status must be 200", reply.status, begin_of(reply.body));
}

json get_json(const ServerUnderTest& server, const std::string& path) { return answered(server.http().get(path)); }

json sorted_faces(json faces) {
  std::sort(faces.begin(), faces.end(), [](const json& a, const json& b) { return a.at("name") < b.at("name"); });
  return faces;
}

void expect_faces(const json& faces, const std::vector<std::string>& names) {
  expect(faces.is_array() && faces.size() == names.size(), "there must be as many tensors as the model has", faces.dump());
  const json sorted = sorted_faces(faces);
  for (size_t i = 0; i < names.size(); ++i) {
    const json& one = sorted[i];
    expect(one.at("name") == names[i], "the names must be the model's", one.dump());
    expect(one.at("datatype") == "FP32", "the datatype must be FP32", one.dump());
    expect(one.at("shape") == json({-1, 4}), "the shape must be [-1, 4]", one.dump());
  }
}

void metadata_of_model(const ServerUnderTest& server, const std::string& path) {
  server.need_model(kSum);
  const json root = get_json(server, path);
  expect(root.at("name") == kSum, "name must be the model's", root.dump());
  expect(root.at("platform").is_string(), "platform must be a string", root.dump());
  expect_faces(root.at("inputs"), {"INPUT0", "INPUT1"});
  expect_faces(root.at("outputs"), {"OUTPUT0", "OUTPUT1"});
}

template <class Message>
json faces_of(const Message& list) {
  json faces = json::array();
  for (const auto& one : list) {
    const std::vector<int64_t> shape(one.shape().begin(), one.shape().end());
    faces.push_back({{"name", one.name()}, {"datatype", one.datatype()}, {"shape", shape}});
  }
  return faces;
}

inference::ModelMetadataResponse grpc_metadata(const ServerUnderTest& server) {
  server.need_model(kSum);
  inference::ModelMetadataRequest request;
  request.set_name(kSum);
  return ask<inference::ModelMetadataResponse>(server, "ModelMetadata", request);
}

bool grpc_model_is_ready(const ServerUnderTest& server, const std::string& name, const std::string& version) {
  inference::ModelReadyRequest request;
  request.set_name(name);
  request.set_version(version);
  return ask<inference::ModelReadyResponse>(server, "ModelReady", request).ready();
}

// Versions that metadata lists; some servers have models without any.
std::string a_version(const ServerUnderTest& server) {
  const json versions = get_json(server, "/v2/models/" + kSum).value("versions", json::array());
  if (versions.empty()) throw Skipped("the server lists no versions of the model");
  return versions.back();
}

void add_http(WireCases& cases) {
  WireTopic(cases, "health", Wire::kHttp)
      .add("the server is live", [](const ServerUnderTest& server, size_t) { is_ok(server, "/v2/health/live"); })
      .add("the server is ready", [](const ServerUnderTest& server, size_t) { is_ok(server, "/v2/health/ready"); })
      .add("a model is ready",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             is_ok(server, "/v2/models/" + kSum + "/ready");
           })
      .add("it is told in JSON too",  // the protocol has it so, KServe's client reads it; Triton's bodies are empty
           [](const ServerUnderTest& server, size_t) {
             expect(get_json(server, "/v2/health/live") == json{{"live", true}}, "the body must be {\"live\": true}");
             expect(get_json(server, "/v2/health/ready") == json{{"ready", true}}, "the body must be {\"ready\": true}");
           })
      .add("a version is ready",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             is_ok(server, "/v2/models/" + kSum + "/versions/" + a_version(server) + "/ready");
           })
      .add("an unknown model is not ready",
           [](const ServerUnderTest& server, size_t) { refused(server.http().get("/v2/models/oip_none/ready")); })
      .add("an unknown version is not ready", [](const ServerUnderTest& server, size_t) {
        server.need_model(kSum);
        refused(server.http().get("/v2/models/" + kSum + "/versions/999/ready"));
      });
  WireTopic(cases, "metadata", Wire::kHttp)
      .add("of the server",
           [](const ServerUnderTest& server, size_t) {
             const json root = get_json(server, "/v2");
             expect(root.at("name").is_string() && root.at("version").is_string(), "name and version must be strings",
                    root.dump());
             expect(root.at("extensions").is_array(), "extensions must be a list", root.dump());
             for (const json& one : root.at("extensions")) expect(one.is_string(), "extensions must be strings", one.dump());
           })
      .add("of a model", [](const ServerUnderTest& server, size_t) { metadata_of_model(server, "/v2/models/" + kSum); })
      .add("of a version",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             metadata_of_model(server, "/v2/models/" + kSum + "/versions/" + a_version(server));
           })
      .add("versions are strings",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             for (const json& one : get_json(server, "/v2/models/" + kSum).value("versions", json::array()))
               expect(one.is_string(), "a version must be a string", one.dump());
           })
      .add("comes as application/json",
           [](const ServerUnderTest& server, size_t) {
             const std::string type = server.http().get("/v2").header("content-type");
             expect(type.starts_with("application/json"), "Content-Type must be application/json", type);
           })
      .add("of an unknown model",
           [](const ServerUnderTest& server, size_t) { refused(server.http().get("/v2/models/oip_none")); })
      .add("of an unknown version",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             refused(server.http().get("/v2/models/" + kSum + "/versions/999"));
           })
      .add("of every datatype", [](const ServerUnderTest& server, size_t) {
        int known = 0;
        for (const DType dtype : kEchoTypes) {
          const HttpReply reply = server.http().get("/v2/models/" + echo_model(dtype));
          if (reply.status != 200) continue;
          ++known;
          const std::string told = answered(reply).at("inputs").at(0).at("datatype");
          expect(dtype == dtype_of_wire_name(told), "the datatype of " + echo_model(dtype) + " must be its own", told);
        }
        if (known == 0) throw Skipped("the server has none of the models of the suite");
      });
}

void add_grpc(WireCases& cases) {
  WireTopic(cases, "health", Wire::kGrpc)
      .add("the server is live",
           [](const ServerUnderTest& server, size_t) {
             expect(ask<inference::ServerLiveResponse>(server, "ServerLive", inference::ServerLiveRequest()).live(),
                    "live must be true");
           })
      .add("the server is ready",
           [](const ServerUnderTest& server, size_t) {
             expect(ask<inference::ServerReadyResponse>(server, "ServerReady", inference::ServerReadyRequest()).ready(),
                    "ready must be true");
           })
      .add("a model is ready",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             expect(grpc_model_is_ready(server, kSum, ""), "ready must be true");
           })
      .add("an unknown model is not ready", [](const ServerUnderTest& server, size_t) {
        inference::ModelReadyRequest request;
        request.set_name("oip_none");
        const GrpcAnswer answer = server.grpc("ModelReady", request.SerializeAsString());
        inference::ModelReadyResponse response;
        const bool said_no = answer.status == 0 && response.ParseFromString(answer.messages.at(0)) && !response.ready();
        expect(said_no || answer.status == grpc::NOT_FOUND, "the answer must be NOT_FOUND, or ready: false", answer.status,
               answer.text);
      });
  WireTopic(cases, "metadata", Wire::kGrpc)
      .add("of the server",
           [](const ServerUnderTest& server, size_t) {
             const auto told =
                 ask<inference::ServerMetadataResponse>(server, "ServerMetadata", inference::ServerMetadataRequest());
             expect(!told.name().empty() && !told.version().empty(), "name and version must be there");
           })
      .add("of a model",
           [](const ServerUnderTest& server, size_t) {
             const auto told = grpc_metadata(server);
             expect(told.name() == kSum, "name must be the model's", told.name());
             expect_faces(faces_of(told.inputs()), {"INPUT0", "INPUT1"});
             expect_faces(faces_of(told.outputs()), {"OUTPUT0", "OUTPUT1"});
           })
      .add("of an unknown model", [](const ServerUnderTest& server, size_t) {
        inference::ModelMetadataRequest request;
        request.set_name("oip_none");
        refused(server.grpc("ModelMetadata", request.SerializeAsString()), grpc::NOT_FOUND);
      });
  WireTopic(cases, "metadata", Wire::kBoth)
      .add("of the server is that of the other protocol",
           [](const ServerUnderTest& server, size_t) {
             const auto told =
                 ask<inference::ServerMetadataResponse>(server, "ServerMetadata", inference::ServerMetadataRequest());
             const json root = get_json(server, "/v2");
             const std::vector<std::string> extensions(told.extensions().begin(), told.extensions().end());
             expect(root.at("name") == told.name() && root.at("version") == told.version(), "name and version must agree",
                    root.dump());
             expect(root.at("extensions") == json(extensions), "extensions must agree", root.dump());
           })
      .add("of a model is that of the other protocol", [](const ServerUnderTest& server, size_t) {
        const auto told = grpc_metadata(server);
        const json root = get_json(server, "/v2/models/" + kSum);
        const std::vector<std::string> versions(told.versions().begin(), told.versions().end());
        expect(root.value("versions", json::array()) == json(versions), "versions must agree", root.dump());
        expect(root.at("platform") == told.platform(), "platform must agree", root.dump());
      });
}

}  // namespace

void add_server_cases(WireCases& cases) {
  add_http(cases);
  add_grpc(cases);
}

}  // namespace tandem
