// The protocol's suite: our own server does all of it, and servers that lie or are silent are found out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "kernels/base/error.h"
#include "serving/conformance/run_wire_suite.h"
#include "serving/conformance/suite_models.h"
#include "serving/conformance/wire_case.h"
#include "serving/http/inference_server.h"

namespace tandem {
namespace {

int64_t count(const std::vector<WireResult>& results, Verdict verdict) {
  return std::ranges::count(results, verdict, &WireResult::verdict);
}

TEST(WireSuite, CasesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const WireCase& one : all_wire_cases()) {
    EXPECT_TRUE(one.http || one.grpc) << one.name;
    EXPECT_TRUE(names.insert(one.topic + "/" + one.name + (one.http ? " http" : "") + (one.grpc ? " grpc" : "")).second)
        << one.topic << " " << one.name;
  }
  EXPECT_GT(names.size(), 200u);
}

class WireSuiteTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::filesystem::path root = std::filesystem::path(testing::TempDir()) / ("wire_suite_" + std::to_string(::getpid()));
    write_suite_models(root);
    InferenceServerOptions options;
    options.repository = root;
    options.http.port = 0;
    options.grpc_port = 0;
    options.version = "1";
    options.allow_settings = true;
    options.allow_client_shm = true;
    options.trace_file = root / "trace.json";
    server = new InferenceServer(options);
    std::filesystem::remove_all(root);
  }
  static void TearDownTestSuite() {
    delete server;
    server = nullptr;
  }
  static ServerAddresses addresses() {
    return {.http = HttpAddress{"127.0.0.1", server->port()},
            .grpc = "127.0.0.1:" + std::to_string(*server->grpc_port()),
            .model = std::string(kSumModel)};
  }

  static inline InferenceServer* server = nullptr;
};

TEST_F(WireSuiteTest, OurServerDoesAllOfIt) {
  const std::vector<WireResult> results = run_wire_suite(ServerUnderTest(addresses()), {});
  for (const WireResult& one : results)
    EXPECT_EQ(one.verdict, Verdict::kPassed) << one.protocol << " " << one.topic << "/" << one.name << ": " << one.reason;
}

TEST_F(WireSuiteTest, OneProtocolAloneLeavesTheOthersCasesOut) {
  ServerAddresses only_http = addresses(), only_grpc = addresses();
  only_http.grpc.clear();
  only_grpc.http.reset();
  for (const WireResult& one : run_wire_suite(ServerUnderTest(only_http), {}))
    EXPECT_EQ(one.verdict == Verdict::kSkipped && one.reason == "no gRPC address was given", one.protocol != "http")
        << one.name << one.reason;
  for (const WireResult& one : run_wire_suite(ServerUnderTest(only_grpc), {.filters = {"faults/*", "streams/*"}}))
    EXPECT_EQ(one.verdict, one.protocol == "grpc" ? Verdict::kPassed : Verdict::kSkipped) << one.name << one.reason;
}

TEST_F(WireSuiteTest, FiltersChooseByTopicAndName) {
  const auto results = run_wire_suite(ServerUnderTest(addresses()), {.filters = {"health/*", "*/INT8 as JSON"}});
  EXPECT_EQ(count(results, Verdict::kPassed), static_cast<int64_t>(results.size()));
  EXPECT_EQ(std::ranges::count(results, "datatypes", &WireResult::topic), 1);
}

// A server that answers every request alike.
class Parrot {
 public:
  explicit Parrot(int status, std::string body)
      : server_(any_port(), [status, body = std::move(body)](const HttpRequest&, const HttpRespond& respond) {
          respond({.status = status, .body = body});
        }) {}
  ServerUnderTest asked() { return ServerUnderTest({.http = HttpAddress{"127.0.0.1", server_.port()}, .grpc = "", .model = ""}); }

 private:
  static HttpServerOptions any_port() {
    HttpServerOptions options;
    options.port = 0;
    return options;
  }
  HttpServer server_;
};

TEST(WireSuiteOfOthers, AServerThatAlwaysAgreesFails) {
  Parrot parrot(200, "{}");
  const auto results = run_wire_suite(parrot.asked(), {.filters = {"inference/*", "faults/*", "datatypes/*", "metadata/*"}});
  for (const WireResult& one : results) {
    if (one.protocol != "http" || one.extension != "") continue;
    if (one.name.ends_with("comes as application/json") || one.name == "versions are strings") continue;  // and so it does
    EXPECT_NE(one.verdict, Verdict::kPassed) << one.topic << "/" << one.name;
  }
  EXPECT_GT(count(results, Verdict::kFailed), 80);
}

TEST(WireSuiteOfOthers, AServerThatRefusesEverythingHasNoModels) {
  Parrot parrot(404, R"({"error":"no"})");
  const auto results = run_wire_suite(parrot.asked(), {});
  EXPECT_GT(count(results, Verdict::kSkipped), 100);
  EXPECT_TRUE(std::ranges::any_of(
      results, [](const WireResult& one) { return one.verdict == Verdict::kFailed && one.topic == "health"; }));
}

TEST(WireSuiteOfOthers, NobodyThereIsSaid) {
  EXPECT_THROW(ServerUnderTest({.http = HttpAddress{"127.0.0.1", 1}, .grpc = "", .model = ""}), Error);
  EXPECT_THROW(ServerUnderTest({.http = {}, .grpc = "127.0.0.1:1", .model = ""}), Error);
  EXPECT_THROW(ServerUnderTest({.http = {}, .grpc = "", .model = ""}), Error);
}

}  // namespace
}  // namespace tandem
