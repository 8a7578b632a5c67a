#include "serving/http/route.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

int fault(std::string_view method, std::string_view target) {
  try {
    route_of(method, target);
  } catch (const HttpFault& fault) {
    return fault.status;
  }
  return 200;
}

TEST(Route, FindsEveryEndpoint) {
  EXPECT_EQ(route_of("GET", "/v2").endpoint, Endpoint::kServerMetadata);
  EXPECT_EQ(route_of("GET", "/v2/health/live").endpoint, Endpoint::kLive);
  EXPECT_EQ(route_of("GET", "/v2/health/ready?test_1=1").endpoint, Endpoint::kServerReady);
  EXPECT_EQ(route_of("HEAD", "/metrics").endpoint, Endpoint::kMetrics);
  EXPECT_EQ(route_of("POST", "/v2/repository/index").endpoint, Endpoint::kRepositoryIndex);
  EXPECT_EQ(route_of("POST", "/v2/repository/models/m/load").endpoint, Endpoint::kLoad);
  EXPECT_EQ(route_of("POST", "/v2/repository/models/m/unload").endpoint, Endpoint::kUnload);
  EXPECT_EQ(route_of("GET", "/v2/models/stats").endpoint, Endpoint::kStatistics);
  EXPECT_EQ(route_of("GET", "/v2/models/m/versions/2/stats").version, 2);
  EXPECT_EQ(route_of("GET", "/v2/models/m").endpoint, Endpoint::kModelMetadata);
  EXPECT_EQ(route_of("GET", "/v2/models/m/ready").endpoint, Endpoint::kModelReady);
  EXPECT_EQ(route_of("GET", "/v2/models/m/versions/3/config").endpoint, Endpoint::kModelConfig);
  const Route infer = route_of("POST", "/v2/models/res%6eet-50_v1.5/versions/12/infer");
  EXPECT_EQ(infer.endpoint, Endpoint::kInfer);
  EXPECT_EQ(infer.model, "resnet-50_v1.5");
  EXPECT_EQ(infer.version, 12);
}

TEST(Route, AVersionMayBeALabel) {
  const Route infer = route_of("POST", "/v2/models/m/versions/sta%62le/infer");
  EXPECT_EQ(infer.endpoint, Endpoint::kInfer);
  EXPECT_EQ(infer.version, 0);
  EXPECT_EQ(infer.label, "stable");
  EXPECT_EQ(version_text(infer), "stable");
  EXPECT_EQ(version_text(route_of("GET", "/v2/models/m/versions/7/stats")), "7");
  EXPECT_EQ(version_text(route_of("GET", "/v2/models/m")), "");
}

TEST(Route, MethodsAreEnforced) {
  for (const char* target : {"/v2/models/m/infer", "/v2/repository/index"}) EXPECT_EQ(fault("GET", target), 405) << target;
  for (const char* target : {"/v2", "/v2/health/live", "/v2/models/m", "/v2/models/m/ready", "/metrics"}) {
    EXPECT_EQ(fault("POST", target), 405) << target;
    EXPECT_EQ(fault("DELETE", target), 405) << target;
  }
}

TEST(Route, OtherPathsAreNotFound) {
  for (const char* target :
       {"", "*", "/v1", "/v2x", "//v2", "/v2//health/live", "/v2/models", "/v2/models/m/", "/v2/models/m/versions",
        "/v2/models/m/versions/1/2", "/v2/models/m/infer/x", "/v2/models/m/nothing", "http://h/v2"})
    EXPECT_EQ(fault("GET", target), 404) << target;
}

TEST(Route, NamesThatCannotBe) {
  const std::string long_name(300, 'a');
  for (const std::string name : {"..", ".", "..%2f", "%2e%2e%2fetc", "%252e", "a%00b", "a%2fb", "%20", "a%0ab", "%", "%4", "%zz",
                                 "a b", "m\xC3\xBC", ".hidden", "a\\b", "a:b"})
    EXPECT_EQ(fault("GET", "/v2/models/" + name), 400) << name;
  EXPECT_EQ(fault("GET", "/v2/models/" + long_name), 400);
  EXPECT_EQ(fault("GET", "/v2/models//ready"), 400);
  for (const char* version : {"0", "01", "-1", "1.0", "1x", "..", "a%2fb", "", "9999999999999999999", "%31"})
    EXPECT_EQ(fault("GET", "/v2/models/m/versions/" + std::string(version)), 400) << version;
}

}  // namespace
}  // namespace tandem
