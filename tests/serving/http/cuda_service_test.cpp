// What clients and operators see of a GPU, before and after it fails.
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "serving/http/v2_service.h"
#include "tests/support/cuda_emulator/script.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class CallingWorkers final : public Workers {
 public:
  int lanes() const override { return 1; }
  void submit(int, std::function<void()> task, std::function<void(const Error&)>) override { task(); }
};

struct PlainRequest final : HttpRequest {
  std::string method_, target_, body_;
  PlainRequest(std::string_view method, std::string_view target, std::string_view body)
      : method_(method), target_(target), body_(body) {}
  std::string_view method() const override { return method_; }
  std::string_view target() const override { return target_; }
  std::string_view body() const override { return body_; }
  std::optional<std::string_view> header(std::string_view) const override { return std::nullopt; }
};

class CudaService : public ::testing::Test {
 protected:
  explicit CudaService(bool strict = false, int64_t failing_call = 0) {
    emulator::reset();
    if (failing_call) emulator::fail_call(failing_call, cudaErrorStreamCaptureUnsupported);
    fs::create_directories(root_ / "m/1");
    std::ofstream(root_ / "m/1/model.onnx") << "x";
    repository_.emplace(
        root_, RepositoryOptions{},
        [strict](ModelRepository::Source source) {
          Graph graph;
          const ValueId x = graph.add_input("x", DType::kF32, {"n", 2});
          graph.outputs = {testing::add(graph, "Softmax", {x}, {{"axis", int64_t{1}}})};
          ModelOptions options;
          options.device = open_serving_device("cuda", strict);
          options.batch_sizes = BatchSizes{{1, 4}, "config", true};
          return std::make_shared<Model>(source.name, source.version, std::move(graph), options);
        },
        ServingContext{dispatcher_, metrics_, clock_});
    service_.emplace(Backend{*repository_, metrics_, control_, clock_, log_, accesses_, tracer_, authorizer_}, ServerIdentity{.version = "1"}, Limits{});
  }
  ~CudaService() override {
    fs::remove_all(root_);
    emulator::reset();
  }

  HttpResponse ask(std::string_view method, std::string_view target, std::string_view body = "") {
    std::vector<HttpResponse> answers;
    service_->handle(PlainRequest(method, target, body), [&](HttpResponse response) { answers.push_back(std::move(response)); });
    EXPECT_EQ(answers.size(), 1u) << "an answer was lost or doubled";
    return answers.at(0);
  }
  void infer() {
    const HttpResponse answer =
        ask("POST", "/v2/models/m/infer", R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[0,0]}]})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(json::parse(answer.body)["outputs"][0]["data"], json({0.5, 0.5}));
  }

  ServerLog log_{{}};
  AccessLog accesses_{"", log_};
  RequestTracer tracer_;
  Authorizer authorizer_{{}, log_};
  fs::path root_ = fs::temp_directory_path() / ("cuda_service_" + std::to_string(getpid()));
  ServerMetrics metrics_{"1"};
  CallingWorkers workers_;
  SteadyClock clock_;
  Dispatcher dispatcher_{workers_, clock_};
  Lane control_{{.name = "control"}};
  std::optional<ModelRepository> repository_;
  std::optional<V2Service> service_;
};

TEST_F(CudaService, TellsWhereAModelRuns) {
  infer();
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("tandem_model_on_device{model=\"m\",version=\"1\"} 1"));
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("tandem_model_fallen_back{model=\"m\",version=\"1\"} 0"));
  EXPECT_THAT(json::parse(ask("GET", "/v2/models/m").body)["parameters"]["device"], HasSubstr("cuda:0"));
  EXPECT_EQ(json::parse(ask("GET", "/v2/models/m/config").body)["instance_group"][0]["kind"], "KIND_GPU");
  EXPECT_THAT(ask("GET", "/").body, HasSubstr("(on cuda:0"));
}

TEST_F(CudaService, TellsWhatWasCapturedAtLoad) {
  infer();
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("tandem_captured_graphs{model=\"m\",version=\"1\"} 2"));
  EXPECT_EQ(json::parse(ask("GET", "/v2/models/m").body)["parameters"]["captured_graphs"], 2);
  const json cuda = json::parse(ask("GET", "/v2/models/m/config").body)["optimization"]["cuda"];
  EXPECT_EQ(cuda["graphs"], true);
  ASSERT_EQ(cuda["graph_spec"].size(), 2u);
  EXPECT_EQ(cuda["graph_spec"][0]["batch_size"], 1);
  EXPECT_EQ(cuda["graph_spec"][1]["batch_size"], 4);
  emulator::fault_kernel(1, cudaErrorIllegalAddress);
  infer();
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("tandem_captured_graphs{model=\"m\",version=\"1\"} 0"));
  EXPECT_FALSE(json::parse(ask("GET", "/v2/models/m").body)["parameters"].contains("captured_graphs"));
  EXPECT_FALSE(json::parse(ask("GET", "/v2/models/m/config").body).contains("optimization"));
}

// The nth call fails, for every n: where that is a call of a capture, all places say so.
TEST(CudaServiceOfFailedCaptures, AreTold) {
  struct Service final : CudaService {
    explicit Service(int64_t failing_call) : CudaService(false, failing_call) {}
    void TestBody() override {}
    bool tells() {
      const int64_t calls = emulator::calls();
      const json parameters = json::parse(ask("GET", "/v2/models/m").body)["parameters"];
      EXPECT_EQ(emulator::calls(), calls);
      if (!parameters.contains("not_captured")) return false;
      EXPECT_THAT(parameters["device"], HasSubstr("cuda:0"));
      EXPECT_THAT(parameters["not_captured"], HasSubstr("cudaErrorStreamCaptureUnsupported"));
      const json index = json::parse(ask("POST", "/v2/repository/index").body);
      EXPECT_EQ(index[0]["state"], "READY");
      EXPECT_THAT(index[0]["reason"], HasSubstr("runs from the GPU without captured graphs: "));
      EXPECT_THAT(ask("GET", "/").body, HasSubstr(", without captured graphs: "));
      EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("tandem_model_on_device{model=\"m\",version=\"1\"} 1"));
      infer();
      return true;
    }
  };
  int told = 0;
  for (int64_t n = 1;; ++n) {
    Service service(n);
    if (emulator::calls() < n) break;
    told += service.tells();
  }
  EXPECT_GT(told, 3);
}

TEST_F(CudaService, TellsThatItFellBackAndAnswersOn) {
  infer();
  emulator::fault_kernel(1, cudaErrorIllegalAddress);
  for (int i = 0; i < 3; ++i) infer();
  const std::string metrics = ask("GET", "/metrics").body;
  EXPECT_EQ(ask("GET", "/metrics").body.find("tandem_device_errors_total{model=\"m\",version=\"1\"} 2"), std::string::npos);
  for (const char* line :
       {"tandem_model_on_device{model=\"m\",version=\"1\"} 0", "tandem_model_fallen_back{model=\"m\",version=\"1\"} 1",
        "tandem_device_errors_total{model=\"m\",version=\"1\"} 1", "tandem_inference_requests_total{model=\"m\",version=\"1\"} 4",
        "tandem_model_ready{model=\"m\",version=\"1\"} 1"})
    EXPECT_THAT(metrics, HasSubstr(line));
  const json parameters = json::parse(ask("GET", "/v2/models/m").body)["parameters"];
  EXPECT_EQ(parameters["device"], "cpu");
  EXPECT_THAT(parameters["fallback"], HasSubstr("cudaErrorIllegalAddress"));
  EXPECT_EQ(json::parse(ask("GET", "/v2/models/m/config").body)["instance_group"][0]["kind"], "KIND_CPU");
  const json index = json::parse(ask("POST", "/v2/repository/index").body);
  EXPECT_EQ(index[0]["state"], "READY");
  EXPECT_THAT(index[0]["reason"], HasSubstr("cudaErrorIllegalAddress"));
  EXPECT_EQ(ask("GET", "/v2/health/ready").status, 200);
  EXPECT_EQ(ask("GET", "/v2/models/m/ready").status, 200);
}

class StrictCudaService : public CudaService {
 protected:
  StrictCudaService() : CudaService(true) {}
};

TEST_F(StrictCudaService, AFailedModelIsReadyNowhere) {
  infer();
  emulator::fault_kernel(1, cudaErrorIllegalAddress);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(
        ask("POST", "/v2/models/m/infer", R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[0,0]}]})").status,
        503);
  const json index = json::parse(ask("POST", "/v2/repository/index").body);
  EXPECT_EQ(index[0]["state"], "UNAVAILABLE");
  EXPECT_THAT(index[0]["reason"], HasSubstr("cudaErrorIllegalAddress"));
  EXPECT_EQ(json::parse(ask("POST", "/v2/repository/index", R"({"ready": true})").body), json::array());
  EXPECT_THAT(ask("GET", "/").body, HasSubstr("UNAVAILABLE  /v2/models/m/versions/1  (the GPU failed: "));
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("tandem_model_ready{model=\"m\",version=\"1\"} 0"));
  EXPECT_EQ(ask("GET", "/v2/health/ready").status, 400);
  EXPECT_EQ(ask("GET", "/v2/models/m/ready").status, 503);
}

}  // namespace
}  // namespace tandem
