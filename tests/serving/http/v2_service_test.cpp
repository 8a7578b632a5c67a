// The service without sockets: statuses, the hand-over to the lanes, and what the counters say afterwards.
#include "runtime/ops/all_ops.h"
#include "serving/http/v2_service.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

class TestClock final : public Clock {
 public:
  TimePoint now() const override { return time; }
  TimePoint time{1h};
};

class HeldWorkers final : public Workers {
 public:
  void submit(std::function<void(int lane)> task, std::function<void(const Error&)> dropped) override {
    tasks.push_back({std::move(task), std::move(dropped)});
  }
  void run_all() {
    for (; !tasks.empty(); tasks.pop_front()) tasks.front().first(0);
  }
  std::deque<std::pair<std::function<void(int lane)>, std::function<void(const Error&)>>> tasks;
};

struct TestRequest final : HttpRequest {
  TestRequest(std::string_view method, std::string_view target, std::string_view body = "")
      : method_(method), target_(target), body_(body) {}
  std::string_view method() const override { return method_; }
  std::string_view target() const override { return target_; }
  std::string_view body() const override { return body_; }
  std::optional<std::string_view> header(std::string_view name) const override {
    return name == "Content-Encoding" && !encoding.empty() ? std::optional<std::string_view>(encoding) : std::nullopt;
  }
  std::string method_, target_, body_, encoding;
};

class V2ServiceTest : public testing::Test {
 protected:
  V2ServiceTest() {
    fs::create_directories(root / "m/1");
    std::ofstream(root / "m/1/model.onnx") << "x";
    limits.queue_length = 2;
    repository.emplace(
        root, VersionPolicy{},
        [](const std::string& name, int64_t version, FileDescriptor, const fs::path&) {
          Graph graph;
          graph.opsets = {{"", kOnnxOpset}};
          const ValueId x = graph.add_input("x", DType::kF32, {"n"});
          graph.outputs = graph.add_node(newest_op("Add"), {x, x}, 1);
          graph.value(graph.outputs[0]).name = std::string("y");
          return std::make_shared<Model>(name, version, std::move(graph), ModelOptions{});
        });
    service.emplace(*repository, metrics, workers, clock, V2Options{.version = "1", .limits = limits});
  }
  ~V2ServiceTest() override { fs::remove_all(root); }

  // The answers so far go to `answers`, in the order in which they are given.
  void ask(std::string_view method, std::string_view target, std::string_view body = "") {
    service->handle(TestRequest(method, target, body), [this](HttpResponse response) { answers.push_back(std::move(response)); });
  }
  int status(std::string_view method, std::string_view target, std::string_view body = "") {
    answers.clear();
    ask(method, target, body);
    workers.run_all();
    return answers.size() == 1 ? answers[0].status : -1;
  }
  void infer(std::string_view parameters = "{}") {
    ask("POST", "/v2/models/m/infer",
        R"({"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}],"parameters":)" + std::string(parameters) + "}");
  }

  fs::path root = fs::temp_directory_path() / ("tandem-service-" + std::to_string(getpid()));
  Limits limits;
  TestClock clock;
  HeldWorkers workers;
  ServerMetrics metrics{"1"};
  std::optional<ModelRepository> repository;
  std::optional<V2Service> service;
  std::vector<HttpResponse> answers;
};

TEST_F(V2ServiceTest, ARequestWaitsForALane) {
  infer();
  EXPECT_TRUE(answers.empty());
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_in_flight{model="m",version="1"} 1)"));
  clock.time += 3ms;
  workers.run_all();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(json::parse(answers[0].body)["outputs"][0]["data"], json({2, 4}));
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_in_flight{model="m",version="1"} 0)"));
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_queue_duration_seconds_sum{model="m",version="1"} 0.003)"));
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_rows_total{model="m",version="1"} 2)"));
}

TEST_F(V2ServiceTest, AFullQueueAnswersAtOnce) {
  for (int i = 0; i < 3; ++i) infer();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].status, 503);
  EXPECT_THAT(answers[0].body, HasSubstr("Exceeds maximum queue size"));
  workers.run_all();
  EXPECT_EQ(answers.size(), 3u);
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_failures_total{model="m",reason="rejected",version="1"} 1)"));
}

TEST_F(V2ServiceTest, AnExpiredRequestIsNotRun) {
  infer(R"({"timeout":1000})");
  clock.time += 2ms;
  workers.run_all();
  EXPECT_EQ(answers.at(0).status, 504);
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_requests_total{model="m",version="1"} 0)"));
  infer(R"({"timeout":9223372036854775807})");
  clock.time += 24h;
  workers.run_all();
  EXPECT_EQ(answers.at(1).status, 200);
}

TEST_F(V2ServiceTest, LanesThatStopAnswerWhatTheyDrop) {
  infer();
  workers.tasks[0].second(Error(ErrorCode::kCancelled, "the lane stops"));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_in_flight{model="m",version="1"} 0)"));
  workers.tasks.clear();
}

TEST_F(V2ServiceTest, StatusesOfFaults) {
  EXPECT_EQ(status("POST", "/v2/models/m/infer", "{"), 400);
  EXPECT_EQ(status("POST", "/v2/models/x/infer", "{}"), 404);
  EXPECT_EQ(status("POST", "/v2/models/m/versions/2/infer", "{}"), 404);
  EXPECT_EQ(status("GET", "/v2/models/m/infer"), 405);
  EXPECT_EQ(answers[0].headers.at(0).second, "POST");
  EXPECT_EQ(status("POST", "/v2/repository/index", R"({"ready":1})"), 400);
  EXPECT_EQ(status("GET", "/nowhere"), 404);
  EXPECT_EQ(status("POST", "/v2/models/m/infer", R"({"inputs":[{"name":"x","shape":[1025],"datatype":"FP32","data":[]}]})"), 400);
}

TEST_F(V2ServiceTest, APackedBodyIsRefusedBeforeItIsRead) {
  for (const char* encoding : {"gzip", "deflate", "br", "identity"}) {
    TestRequest request("POST", "/v2/models/m/infer", "packed bytes");
    request.encoding = encoding;
    answers.clear();
    service->handle(request, [this](HttpResponse response) { answers.push_back(std::move(response)); });
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].status, request.encoding == "identity" ? 400 : 415) << encoding << ": " << answers[0].body;
  }
}

TEST_F(V2ServiceTest, ADrainingServerIsAliveAndNotReady) {
  EXPECT_EQ(status("GET", "/v2/health/ready"), 200);
  service->drain();
  EXPECT_EQ(status("GET", "/v2/health/ready"), 400);
  EXPECT_EQ(status("GET", "/v2/health/live"), 200);
  infer();
  workers.run_all();
  EXPECT_EQ(answers.back().status, 200);
}

}  // namespace
}  // namespace tandem
