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
#include "serving/load/grpc_stream_client.h"
#include "serving/load/http_load_client.h"
#include "serving/load/input_data.h"
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
  const LoadPlan brief{.warmup = 0ms, .time = 100ms, .patience = 10min};
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
  HttpLoadClient over_http(http(), {http_infer_request(http(), "same", inputs, TensorForm::kBinary)}, 4, clock);
  const auto over_grpc = grpc_load_client(grpc(), {grpc_infer_request("same", inputs)}, 4, clock);
  const auto in_streams = grpc_stream_client(grpc(), {grpc_infer_request("same", inputs)}, 4, clock);
  for (LoadClient* client : {static_cast<LoadClient*>(&over_http), over_grpc.get(), in_streams.get()}) {
    const LoadResult result = run_load(*client, clock, brief);
    EXPECT_GE(result.ok, 4);  // each connection asks at once
    EXPECT_EQ(result.failed + result.shed + result.late + result.unanswered, 0) << client->first_problem();
    LoadPlan open = brief;
    open.rate = 200, open.arrivals = Arrivals::kConstant;
    const LoadResult at_a_rate = run_load(*client, clock, open);
    EXPECT_NEAR(static_cast<double>(at_a_rate.ok), 20, 1);
    EXPECT_EQ(at_a_rate.failed + at_a_rate.shed + at_a_rate.late + at_a_rate.unanswered, 0) << client->first_problem();
  }
}

// Of requests in turn every second one names no model: each of them is counted, and spoils no other.
TEST_F(LoadClientTest, RequestsAreSentInTurn) {
  const auto inputs = random_inputs(ask_http_metadata(http(), "same"), {.shapes = {{"x", {1, 4}}}});
  HttpLoadClient over_http(http(), {http_infer_request(http(), "same", inputs, TensorForm::kBinary), http_infer_request(http(), "none", inputs, TensorForm::kBinary)}, 1, clock);
  const std::vector<std::string> calls = {grpc_infer_request("same", inputs), grpc_infer_request("none", inputs)};
  const auto over_grpc = grpc_load_client(grpc(), calls, 1, clock);
  const auto in_streams = grpc_stream_client(grpc(), calls, 1, clock);
  for (LoadClient* client : {static_cast<LoadClient*>(&over_http), over_grpc.get(), in_streams.get()}) {
    std::vector<AnswerKind> kinds;
    for (int i = 0; i < 6; ++i) {
      client->send(0);
      std::vector<LoadAnswer> answers;
      while (answers.empty()) client->wait(clock.now(), clock.now() + 20s, answers);
      ASSERT_EQ(answers.size(), 1u);
      kinds.push_back(answers[0].kind);
    }
    using enum AnswerKind;
    EXPECT_EQ(kinds, (std::vector{kOk, kFailed, kOk, kFailed, kOk, kFailed}));
    EXPECT_NE(client->first_problem().find("unknown model"), std::string::npos) << client->first_problem();
  }
}

TEST_F(LoadClientTest, RandomRequestsOfOneSeedDiffer) {
  const ModelFace face = ask_http_metadata(http(), "same");
  const auto request = [&](uint64_t number, uint64_t seed) {
    return grpc_infer_request("same", random_inputs(face, {.shapes = {{"x", {1, 4}}}, .seed = seed, .request = number}));
  };
  EXPECT_EQ(request(3, 1), request(3, 1));
  EXPECT_NE(request(3, 1), request(4, 1));
  EXPECT_NE(request(3, 1), request(3, 2));
}

TEST(InputData, IsOneRequestAnEntryInEveryForm) {
  const ModelFace face{"m", {{"x", "FP32", {-1, 2}}, {"n", "INT8", {-1, -1}}, {"t", "BYTES", {-1, 1}}}, {}};
  const auto read = [&](const std::string& text) { return inputs_of_data_file(face, {}, text); };
  const auto requests = read(R"({"data": [
    {"x": [1, 2], "t": ["a"]},
    [{"n": {"content": [-3, 4, 5], "shape": [3]}}, {"n": {"content": [[6, 7]], "shape": [1, 2]}}],
    {"x": {"b64": "AACAPwAAAMA="}, "t": {"content": {"b64": "AgAAAGhp"}}}], "validation_data": [{}]})");
  ASSERT_EQ(requests.size(), 4u);
  const auto input = [&](size_t request, const std::string& name) {
    for (const InferInput& one : requests[request])
      if (one.name == name) return one.tensor;
    ADD_FAILURE() << name;
    return Tensor();
  };
  EXPECT_EQ(input(0, "x").shape(), Shape({1, 2}));
  EXPECT_EQ(input(0, "x").as<float>()[1], 2);
  EXPECT_EQ(input(0, "t").as<std::string_view>()[0], "a");
  EXPECT_EQ(input(1, "n").shape(), Shape({1, 3}));
  EXPECT_EQ(input(1, "n").as<int8_t>()[0], -3);
  EXPECT_EQ(input(2, "n").shape(), Shape({1, 2}));
  EXPECT_EQ(input(3, "x").as<float>()[0], 1);
  EXPECT_EQ(input(3, "x").as<float>()[1], -2);
  EXPECT_EQ(input(3, "t").as<std::string_view>()[0], "hi");
  for (const auto& [wrong, named] : std::vector<std::pair<std::string, std::string>>{
           {R"([])", "data"},
           {R"({"data": []})", "no request"},
           {R"({"data": [{"x": [1, 2]}, {"y": [1]}]})", "request 2"},
           {R"({"data": [{"x": [1, 2, 3]}]})", "request 1"},
           {R"({"data": [{"x": {"b64": "AACAPw=="}}]})", "request 1"},
           {R"({"data": [{"x": {"b64": "?"}}]})", "base64"},
           {R"({"data": [{"n": [1]}]})", "--shape n="},
           {R"({"data": [{"n": {"content": [300], "shape": [1]}}]})", "request 1"},
           {R"({"data": [{"n": {"content": [1], "shape": [1, 1, 1]}}]})", "number of dimensions"},
           {R"({"data": [7]})", "request 1"},
           {R"({"data": )", "request 1"}})
    try {
      read(wrong);
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
    }
}

TEST_F(LoadClientTest, LargeRequestsAreSentInPieces) {
  const auto inputs = random_inputs(ask_http_metadata(http(), "same"), {.shapes = {{"x", {64, 65'536}}}});
  HttpLoadClient client(http(), {http_infer_request(http(), "same", inputs, TensorForm::kBinary)}, 2, clock);
  const LoadResult result = run_load(client, clock, {.warmup = 0ms, .time = 100ms, .patience = 20s});
  EXPECT_GE(result.ok, 2);
  EXPECT_EQ(result.failed, 0) << client.first_problem();
}

TEST_F(LoadClientTest, RefusalsAreCountedAndTold) {
  HttpLoadClient over_http(http(), {http_request(http(), "/v2/models/none/infer", "{}")}, 1, clock);
  EXPECT_GT(run_load(over_http, clock, brief).failed, 0);
  EXPECT_NE(over_http.first_problem().find("unknown model"), std::string::npos) << over_http.first_problem();
  const auto over_grpc = grpc_load_client(grpc(), {grpc_infer_request("none", {})}, 1, clock);
  EXPECT_GT(run_load(*over_grpc, clock, brief).failed, 0);
  EXPECT_NE(over_grpc->first_problem().find("unknown model"), std::string::npos) << over_grpc->first_problem();
  const auto in_streams = grpc_stream_client(grpc(), {grpc_infer_request("none", {})}, 2, clock);
  EXPECT_GT(run_load(*in_streams, clock, brief).failed, 0);
  EXPECT_NE(in_streams->first_problem().find("unknown model"), std::string::npos) << in_streams->first_problem();
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
    HttpLoadClient client({"127.0.0.1", ntohs(address.sin_port)}, {"GET / HTTP/1.1\r\n\r\n"}, 2, clock);
    LoadResult result;
    for (auto time = 50ms; result.failed <= 2 && time < 60s; time *= 2)  // longer where the machine has no time for this
      result = run_load(client, clock, {.warmup = 0ms, .time = time, .patience = 1s});
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
