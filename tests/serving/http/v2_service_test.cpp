// The service without sockets: statuses, the hand-over to the lanes, and what the counters say afterwards.
#include "serving/http/v2_service.h"
#include "runtime/ops/all_ops.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "runtime/graph/op_def.h"
#include "serving/http/content_coding.h"
#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

struct TestRequest final : HttpRequest {
  TestRequest(std::string_view method, std::string_view target, std::string_view body = "")
      : method_(method), target_(target), body_(body) {}
  std::string_view method() const override { return method_; }
  std::string_view target() const override { return target_; }
  std::string_view body() const override { return body_; }
  std::optional<std::string_view> header(std::string_view name) const override {
    if (name == "Content-Encoding" && !encoding.empty()) return encoding;
    if (name == "Accept-Encoding" && !accepted.empty()) return accepted;
    if (name == "Accept" && !types.empty()) return types;
    if (name == "Sec-Fetch-Site" && !site.empty()) return site;
    return std::nullopt;
  }
  void when_gone(std::function<void()> call) const override { gone = std::move(call); }
  std::string method_, target_, body_, encoding, accepted, types, site;
  mutable std::function<void()> gone;
};

class V2ServiceTest : public testing::Test {
 protected:
  V2ServiceTest() {
    fs::create_directories(root / "m/1");
    std::ofstream(root / "m/1/model.onnx") << "x";
    repository.emplace(
        root,
        RepositoryOptions{
            .versions = {}, .control = ModelControl::kExplicit, .load_at_start = {"*"}, .limits = {.queue_length = 2}},
        [](ModelRepository::Source source) {
          Graph graph;
          graph.opsets = {{"", kOnnxOpset}};
          const ValueId x = graph.add_input("x", DType::kF32, {"n"});
          graph.outputs = graph.add_node(newest_op("Add"), {x, x}, 1);
          graph.value(graph.outputs[0]).name = std::string("y");
          return std::make_shared<Model>(source.name, source.version, std::move(graph), ModelOptions{});
        },
        ServingContext{dispatcher, metrics, clock});
    service.emplace(Backend{*repository, metrics, control, clock, log, accesses, tracer, authorizer}, ServerIdentity{.version = "1"}, limits);
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
  std::vector<std::string> lines;  // of the log
  ServerLog log{[this](const std::string& line) { lines.push_back(line); }};
  AccessLog accesses{"", log};
  RequestTracer tracer;
  Authorizer authorizer{{.change_models = true, .share_memory = false, .change_settings = true}, log};
  TestClock clock;
  HeldWorkers workers;
  ServerMetrics metrics{"1"};
  Dispatcher dispatcher{workers, clock};
  Lane control{{.name = "control"}};
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

TEST_F(V2ServiceTest, AnAnswerTellsHowItWasMadeIfAsked) {
  for (int i = 0; i < 2; ++i) infer(R"({"explain":true})");
  clock.time += 3ms;
  workers.run_all();
  infer();
  workers.run_all();
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(json::parse(answers[0].body)["parameters"], json::parse(R"({"queue_us":3000,"batch_size":2,"position":0,"lane":0,"lanes":1})"));
  EXPECT_FALSE(json::parse(answers[2].body).contains("parameters"));
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
  dispatcher.stop();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].status, 503);
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_in_flight{model="m",version="1"} 0)"));
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

// tritonclient.http.aio names gzip in all its requests, and unpacks the answers of inference alone.
TEST_F(V2ServiceTest, ErrorsAndWhatIsNoInferenceAreNotCompressed) {
  const auto coding_of = [&](const std::string& method, const std::string& target, const std::string& body) {
    TestRequest request(method, target, body);
    request.accepted = "gzip, deflate";
    answers.clear();
    service->handle(request, [this](HttpResponse response) { answers.push_back(std::move(response)); });
    workers.run_all();
    for (const auto& [name, value] : answers.at(0).headers)
      if (name == "Content-Encoding") return value;
    return std::string("none");
  };
  EXPECT_EQ(coding_of("POST", "/v2/models/m/infer", R"({"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]})"), "gzip");
  EXPECT_EQ(coding_of("GET", "/metrics", ""), "gzip");
  for (const char* wrong : {"{", R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[1]}]})"})
    EXPECT_EQ(coding_of("POST", "/v2/models/m/infer", wrong), "none");
  EXPECT_EQ(coding_of("GET", "/nowhere", ""), "none");
  for (const char* target : {"/v2", "/v2/models/m", "/v2/models/m/config", "/v2/models/m/stats", "/v2/logging", "/v2/trace/setting"})
    EXPECT_EQ(coding_of("GET", target, ""), "none") << target;
  EXPECT_EQ(coding_of("POST", "/v2/repository/index", ""), "none");
}

TEST_F(V2ServiceTest, CompressedBothWays) {
  const std::string plain = R"({"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}]})";
  for (const ContentCoding coding : {ContentCoding::kGzip, ContentCoding::kDeflate}) {
    TestRequest request("POST", "/v2/models/m/infer", pack(plain, coding));
    request.encoding = request.accepted = name(coding);
    answers.clear();
    service->handle(request, [this](HttpResponse response) { answers.push_back(std::move(response)); });
    workers.run_all();
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].headers.at(0), std::pair(std::string("Content-Encoding"), request.encoding));
    EXPECT_EQ(json::parse(unpack(answers[0].body, coding, 1 << 20))["outputs"][0]["data"], json({2, 4}));
  }
  for (const auto& [encoding, expected] : {std::pair("gzip", 400), {"br", 415}, {"gzip, gzip", 415}, {"identity", 400}}) {
    TestRequest request("POST", "/v2/models/m/infer", "not packed");
    request.encoding = encoding;
    answers.clear();
    service->handle(request, [this](HttpResponse response) { answers.push_back(std::move(response)); });
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].status, expected) << encoding << ": " << answers[0].body;
  }
}

TEST_F(V2ServiceTest, WhoHasGoneIsNotComputedFor) {
  TestRequest request("POST", "/v2/models/m/infer", R"({"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}]})");
  service->handle(request, [this](HttpResponse response) { answers.push_back(std::move(response)); });
  ASSERT_TRUE(request.gone);
  request.gone();
  workers.run_all();
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_requests_total{model="m",version="1"} 0)"));
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_failures_total{model="m",reason="cancelled",version="1"} 1)"));
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_in_flight{model="m",version="1"} 0)"));
}

TEST_F(V2ServiceTest, ClientsLoadAndUnload) {
  // A change is answered from the thread of `control`.
  const auto change = [&](std::string_view what, std::string_view body = "") {
    std::promise<HttpResponse> answer;
    service->handle(TestRequest("POST", "/v2/repository/models/" + std::string(what), body),
                    [&](HttpResponse response) { answer.set_value(std::move(response)); });
    return answer.get_future().get();
  };
  EXPECT_EQ(change("m/unload").status, 200);
  EXPECT_EQ(status("GET", "/v2/models/m/ready"), 503);
  EXPECT_EQ(status("GET", "/v2/health/ready"), 200) << "it was taken away, it did not fail";
  EXPECT_EQ(change("m/load", "{}").status, 200);
  EXPECT_EQ(status("GET", "/v2/models/m/ready"), 200);
  EXPECT_EQ(change("m/unload", R"({"parameters":{"unload_dependents":true}})").status, 200);
  const HttpResponse missing = change("none/load");
  EXPECT_EQ(missing.status, 400);
  EXPECT_THAT(missing.body, HasSubstr("failed to load 'none'"));
  EXPECT_EQ(change("none/unload").status, 404);
  EXPECT_EQ(status("POST", "/v2/repository/models/m/unload", R"({"parameters":{"unload_dependents":1}})"), 400);
  EXPECT_EQ(status("POST", "/v2/repository/models/m/load", R"({"parameters":{"other":1}})"), 400);
  EXPECT_EQ(status("POST", "/v2/repository/models/m/load", "[]"), 400);
}

TEST_F(V2ServiceTest, StatisticsAddUp) {
  for (int i = 0; i < 2; ++i) infer();
  clock.time += 2ms;
  workers.run_all();
  infer(R"({"timeout":1})");
  clock.time += 2ms;
  workers.run_all();
  answers.clear();
  ask("GET", "/v2/models/m/stats");
  const json model = json::parse(answers.at(0).body)["model_stats"].at(0);
  EXPECT_EQ(model["name"], "m");
  EXPECT_EQ(model["version"], "1");
  EXPECT_EQ(model["inference_count"], 4) << "rows";
  EXPECT_EQ(model["inference_stats"]["success"]["count"], 2);
  EXPECT_EQ(model["inference_stats"]["queue"], json::parse(R"({"count":2,"ns":4000000})"));
  EXPECT_EQ(model["inference_stats"]["fail"]["count"], 1);
  for (const char* key : {"compute_input", "compute_infer", "compute_output"})
    EXPECT_EQ(model["inference_stats"][key]["count"], 2) << key;
  EXPECT_EQ(status("GET", "/v2/models/stats"), 200);
  EXPECT_EQ(status("GET", "/v2/models/none/stats"), 404);
}

TEST_F(V2ServiceTest, TheOverviewCountsWhatThePageShows) {
  for (int i = 0; i < 2; ++i) infer();
  clock.time += 3ms;
  workers.run_all();
  infer();
  clock.time += 1ms;
  workers.run_all();
  answers.clear();
  ask("GET", "/status.json");
  const json status = json::parse(answers.at(0).body), model = status["models"].at(0);
  EXPECT_EQ(status["server"]["uptime_seconds"], 0.004);
  EXPECT_EQ(status["server"]["ready"], true);
  EXPECT_EQ(status["server"]["may_control"], true);
  EXPECT_EQ(model["state"], "READY");
  EXPECT_EQ(model["requests"], 3);
  EXPECT_EQ(model["batches"], json::parse("[[2,3]]"));
  ASSERT_EQ(model["latency_ns"].size(), 2u);
  EXPECT_EQ(model["latency_ns"][0][1], 1);
  EXPECT_EQ(model["latency_ns"][1][1], 2);
  for (const auto& [at, ns] : {std::pair(0, 1e6), {1, 3e6}}) {
    EXPECT_GE(model["latency_ns"][static_cast<size_t>(at)][0], ns);
    EXPECT_LE(model["latency_ns"][static_cast<size_t>(at)][0], ns * 1.125);
  }
}

TEST_F(V2ServiceTest, ABrowserGetsAPageAndOthersText) {
  ask("GET", "/");
  EXPECT_EQ(answers[0].content_type, "text/plain; charset=utf-8");
  TestRequest request("GET", "/");
  request.types = "text/html,application/xhtml+xml,*/*;q=0.8";
  service->handle(request, [this](HttpResponse response) { answers.push_back(std::move(response)); });
  EXPECT_EQ(answers[1].content_type, "text/html; charset=utf-8");
  EXPECT_EQ(answers[1].headers.at(0).first, "Content-Security-Policy");
  EXPECT_THAT(answers[1].headers[0].second, HasSubstr("default-src 'none'"));
}

TEST_F(V2ServiceTest, PagesOfOtherSitesChangeNothing) {
  for (const char* target : {"/v2/repository/models/m/unload", "/v2/logging"}) {
    TestRequest request("POST", target, "{}");
    request.site = "cross-site";
    answers.clear();
    service->handle(request, [this](HttpResponse response) { answers.push_back(std::move(response)); });
    EXPECT_EQ(answers.at(0).status, 403) << target;
  }
  EXPECT_EQ(status("GET", "/v2/models/m/ready"), 200);
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
