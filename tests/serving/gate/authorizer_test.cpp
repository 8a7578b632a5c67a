#include "serving/gate/authorizer.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using testing::ElementsAre;

TEST(Authorizer, WhatNoFlagAllowsIsRefusedByNameAndTold) {
  std::vector<std::string> lines;
  ServerLog log([&](const std::string& line) { lines.push_back(line); });
  const Caller caller{"http", "127.0.0.1:7"};
  const Authorizer closed({}, log);
  closed.authorize(Action::kRead, caller, "read");
  closed.authorize(Action::kInfer, caller, "infer");
  EXPECT_TRUE(lines.empty());
  const auto refused = [&](Action action) -> std::string {
    try {
      closed.authorize(action, caller, "it");
    } catch (const NotEnabled& refusal) {
      return std::string("not enabled, ") + refusal.what();
    } catch (const Error& refusal) {
      return refusal.what();
    }
    return "allowed";
  };
  EXPECT_THAT(refused(Action::kChangeModels), testing::HasSubstr("--model-control explicit"));
  EXPECT_THAT(refused(Action::kShareMemory), testing::MatchesRegex("not enabled, .*--allow-client-shm"));
  EXPECT_THAT(refused(Action::kChangeSettings), testing::MatchesRegex("not enabled, .*--allow-settings"));
  EXPECT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines.at(0), testing::StartsWith("audit: http 127.0.0.1:7: it: refused: "));

  lines.clear();
  const Authorizer open({.change_models = true, .share_memory = true, .change_settings = true}, log);
  for (const Action action : {Action::kChangeModels, Action::kShareMemory, Action::kChangeSettings}) open.authorize(action, caller, "it");
  open.audit({"grpc", ""}, "load 'm'", "done");
  EXPECT_THAT(lines, ElementsAre("audit: grpc -: load 'm': done"));
}

}  // namespace
}  // namespace tandem
