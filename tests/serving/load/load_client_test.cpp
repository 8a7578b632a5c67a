// The clients of both protocols against a server in this process, and against sockets that misbehave.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "runtime/graph/op_def.h"
#include "runtime/onnx/onnx.h"
#include "runtime/ops/all_ops.h"
#include "serving/http/inference_server.h"
#include "serving/load/grpc_call.h"
#include "serving/load/grpc_load_client.h"
#include "serving/load/http_load_client.h"
#include "serving/load/load_inputs.h"
#include "serving/load/load_run.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;

Graph identity(DType dtype) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", dtype, {"batch", "width"});
  const ValueId y = graph.add_node(newest_op("Identity"), {x}, 1)[0];
  graph.value(y).name = std::string("y");
  graph.outputs = {y};
  return graph;
}

class LoadClientTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::filesystem::path root = std::filesystem::path(testing::TempDir()) / ("load_client_" + std::to_string(::getpid()));
    for (const auto& [name, dtype] : {std::pair{"same", DType::kF32}, {"texts", DType::kString}, {"halves", DType::kF16}}) {
      std::filesystem::create_directories(root / name / "1");
      save_onnx(identity(dtype), root / name / "1/model.onnx");
    }
    InferenceServerOptions options;
    options.repository = root;
    options.http.port = 0;
    options.grpc_port = 0;
    server = new InferenceServer(options);
    std::filesystem::remove_all(root);
  }
  static void TearDownTestSuite() {
    delete server;
    server = nullptr;
  }
  static HttpAddress http() { return {"127.0.0.1", server->port()}; }
  static std::string grpc() { return "127.0.0.1:" + std::to_string(*server->grpc_port()); }

  static inline InferenceServer* server = nullptr;
  SteadyClock clock;
  const LoadPlan brief{.warmup = 0ms, .time = 100ms, .patience = 20s};
};

TEST_F(LoadClientTest, EveryDatatypeOverHttpAndGrpc) {
  for (const std::string model : {"same", "texts", "halves"}) {
    SCOPED_TRACE(model);
    const ModelFace face = ask_http_metadata(http(), model);
    ASSERT_EQ(face.inputs.size(), 1u);
    EXPECT_EQ(face.inputs[0].shape, (std::vector<int64_t>{-1, -1}));
    EXPECT_EQ(ask_grpc_metadata(grpc(), model).inputs[0].datatype, face.inputs[0].datatype);
    const auto inputs = random_inputs(face, {.shapes = {{"x", {2, 3}}}});
    for (const TensorForm form : {TensorForm::kBinary, TensorForm::kJson})
      EXPECT_NO_THROW(check_http_answer(face, http_exchange(http(), http_infer_request(http(), model, inputs, form))));
    EXPECT_NO_THROW(check_grpc_answer(face, grpc_exchange(grpc(), "ModelInfer", grpc_infer_request(model, inputs))));
  }
}

TEST_F(LoadClientTest, ALoadIsAnsweredOverBothProtocols) {
  const auto inputs = random_inputs(ask_http_metadata(http(), "same"), {.shapes = {{"x", {1, 4}}}});
  HttpLoadClient over_http(http(), http_infer_request(http(), "same", inputs, TensorForm::kBinary), 4, clock);
  GrpcLoadClient over_grpc(grpc(), grpc_infer_request("same", inputs), 4, clock);
  for (LoadClient* client : {static_cast<LoadClient*>(&over_http), static_cast<LoadClient*>(&over_grpc)}) {
    const LoadResult result = run_load(*client, clock, brief);
    EXPECT_GE(result.ok, 4);  // each connection asks at once
    EXPECT_EQ(result.failed + result.shed + result.late + result.unanswered, 0) << client->first_problem();
  }
}

TEST_F(LoadClientTest, LargeRequestsAreSentInPieces) {
  const auto inputs = random_inputs(ask_http_metadata(http(), "same"), {.shapes = {{"x", {64, 65'536}}}});
  HttpLoadClient client(http(), http_infer_request(http(), "same", inputs, TensorForm::kBinary), 2, clock);
  const LoadResult result = run_load(client, clock, {.warmup = 0ms, .time = 100ms, .patience = 20s});
  EXPECT_GE(result.ok, 2);
  EXPECT_EQ(result.failed, 0) << client.first_problem();
}

TEST_F(LoadClientTest, RefusalsAreCountedAndTold) {
  HttpLoadClient over_http(http(), http_request(http(), "/v2/models/none/infer", "{}"), 1, clock);
  EXPECT_GT(run_load(over_http, clock, brief).failed, 0);
  EXPECT_NE(over_http.first_problem().find("unknown model"), std::string::npos) << over_http.first_problem();
  GrpcLoadClient over_grpc(grpc(), grpc_infer_request("none", {}), 1, clock);
  EXPECT_GT(run_load(over_grpc, clock, brief).failed, 0);
  EXPECT_NE(over_grpc.first_problem().find("unknown model"), std::string::npos) << over_grpc.first_problem();
}

TEST_F(LoadClientTest, OpenDimensionsMustBeSaid) {
  try {
    random_inputs(ask_http_metadata(http(), "same"), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--shape x="), std::string::npos) << error.what();
  }
  EXPECT_THROW(random_inputs(ask_http_metadata(http(), "same"), {.shapes = {{"z", {1}}}}), Error);
}

TEST_F(LoadClientTest, WrongAnswersAreNotBelieved) {
  const ModelFace face{"m", {}, {{"y", "FP32", {-1, 2}}}};
  const auto answer = [](std::string body, std::optional<size_t> json = {}) { return HttpAnswer{200, std::move(body), json}; };
  EXPECT_NO_THROW(check_http_answer(face, answer(R"({"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1,2]}]})")));
  EXPECT_THROW(check_http_answer(face, answer(R"({"outputs":[{"name":"z","datatype":"FP32","shape":[1,2],"data":[1,2]}]})")),
               Error);
  EXPECT_THROW(check_http_answer(face, answer("[]")), Error);
  EXPECT_THROW(check_http_answer(face, {500, "{}", {}}), Error);
  const std::string json = R"({"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]})";
  EXPECT_NO_THROW(check_http_answer(face, answer(json + "12345678", json.size())));
  EXPECT_THROW(check_http_answer(face, answer(json + "1234", json.size())), Error);
}

TEST(HttpLoadClient, ConnectionsThatBreakFailAndAreMadeAnew) {
  // Accepts, reads, and hangs up.
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 16), 0);
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::thread peer([&] {
    for (int taken; (taken = ::accept(listener, nullptr, nullptr)) >= 0; ::close(taken)) {
      char bytes[256];
      [[maybe_unused]] const ssize_t got = ::recv(taken, bytes, sizeof bytes, 0);
    }
  });
  SteadyClock clock;
  {
    HttpLoadClient client({"127.0.0.1", ntohs(address.sin_port)}, "GET / HTTP/1.1\r\n\r\n", 2, clock);
    const LoadResult result = run_load(client, clock, {.warmup = 0ms, .time = 50ms, .patience = 1s});
    EXPECT_EQ(result.ok, 0);
    EXPECT_GT(result.failed, 2);
    EXPECT_NE(client.first_problem().find("closed"), std::string::npos);
  }
  ::shutdown(listener, SHUT_RDWR);
  peer.join();
  ::close(listener);
}

}  // namespace
}  // namespace tandem
