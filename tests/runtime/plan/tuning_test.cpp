#include "runtime/plan/tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "runtime/io/file.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;
using List = std::vector<int64_t>;
namespace fs = std::filesystem;

// Takes so many milliseconds of a clock that nothing else moves.
double simulated_seconds = 0;
Candidate sleeper(std::string name, int milliseconds) {
  return {std::move(name), [=] { return PreparedRun{.touch = [] {}, .run = [=] { simulated_seconds += milliseconds * 1e-3; }}; }};
}
double simulated(const std::function<void()>& run) {
  const double begin = simulated_seconds;
  run();
  return simulated_seconds - begin;
}
Candidate never(std::string name) {
  return {std::move(name), []() -> PreparedRun { throw std::runtime_error("this was known"); }};
}

class TuningFile : public ::testing::Test {
 protected:
  TuningFile() { fs::remove_all(folder_); }
  ~TuningFile() override { fs::remove_all(folder_); }

  nlohmann::json kept() const { return nlohmann::json::parse(read_file(file_, 1 << 20)); }
  void write(const nlohmann::json& json) const { write_file(file_, json.dump()); }
  // Every answer of this machine goes through `change`.
  template <class Change>
  void change_answers(Change change) const {
    nlohmann::json json = kept();
    for (auto& machine : json["machines"])
      for (const auto& [work, name] : machine.items()) machine[work] = change(work, name.template get<std::string>());
    write(json);
  }
  std::shared_ptr<Tuning> tuning() const { return std::make_shared<Tuning>(file_, simulated); }

  const fs::path folder_ = fs::temp_directory_path() / ("tandem_tuning_" + std::to_string(getpid()));
  const fs::path file_ = folder_ / "of/mine/tuning.json";
};

TEST_F(TuningFile, TheFastestIsTakenAndKept) {
  const Candidate candidates[] = {sleeper("slow", 20), sleeper("quick", 1), sleeper("middle", 10)};
  Tuning first(file_, simulated);
  std::vector<std::string> searched;
  first.on_search = [&](const std::string& work) { searched.push_back(work); };
  EXPECT_EQ(first.fastest("work", candidates), "quick");
  EXPECT_EQ(first.fastest("work", candidates), "quick");
  EXPECT_THAT(searched, ElementsAre("work"));
  EXPECT_EQ(first.searched(), 1);
  EXPECT_EQ(first.known(), 1);
  const Candidate known[] = {never("slow"), never("quick")};
  Tuning second(file_, simulated);
  EXPECT_EQ(second.fastest("work", known), "quick");
  EXPECT_THROW(second.fastest("other work", known), std::runtime_error);
}

TEST_F(TuningFile, TheFirstStaysUnlessAnotherTakesClearlyLess) {
  Tuning tuning({}, simulated);
  const Candidate alike[] = {sleeper("estimate", 100), sleeper("other", 98)}, apart[] = {sleeper("estimate", 100), sleeper("other", 96)};
  EXPECT_EQ(tuning.fastest("alike", alike), "estimate");
  EXPECT_EQ(tuning.fastest("apart", apart), "other");
}

TEST_F(TuningFile, WithoutAFileAnswersAreForItselfAlone) {
  Tuning tuning({}, simulated);
  const Candidate candidates[] = {sleeper("slow", 20), sleeper("quick", 1)}, known[] = {never("slow"), never("quick")};
  EXPECT_EQ(tuning.fastest("work", candidates), "quick");
  EXPECT_EQ(tuning.fastest("work", known), "quick");
  EXPECT_THROW(Tuning().fastest("work", known), std::runtime_error);
}

TEST_F(TuningFile, WhatOthersFoundStays) {
  const Candidate candidates[] = {sleeper("quick", 1)};
  const auto one = tuning(), other = tuning();
  one->fastest("a", candidates);
  nlohmann::json json = kept();
  json["machines"]["another machine"] = {{"a", "x"}};
  write(json);
  other->fastest("b", candidates);
  json = kept();
  EXPECT_EQ(json["machines"]["another machine"]["a"], "x");
  json["machines"].erase("another machine");
  ASSERT_EQ(json["machines"].size(), 1u);
  EXPECT_EQ(json["machines"].front(), (nlohmann::json{{"a", "quick"}, {"b", "quick"}}));
}

TEST_F(TuningFile, AnotherBuildOrAnUnknownKernelIsMeasuredAnew) {
  const Candidate candidates[] = {sleeper("quick", 1)};
  tuning()->fastest("work", candidates);
  change_answers([](const auto&, const auto&) { return "a kernel of old"; });
  const auto unknown = tuning();
  EXPECT_EQ(unknown->fastest("work", candidates), "quick");
  EXPECT_EQ(unknown->searched(), 1);
  nlohmann::json json = kept(), others = {{"machines", nlohmann::json::object()}};
  for (const auto& [machine, answers] : json["machines"].items()) others["machines"][machine.substr(0, machine.rfind("build ")) + "build of old"] = answers;
  write(others);
  const auto built = tuning();
  EXPECT_EQ(built->fastest("work", candidates), "quick");
  EXPECT_EQ(built->searched(), 1);
}

TEST_F(TuningFile, AFileOfSomethingElseIsRefusedAndLeft) {
  fs::create_directories(file_.parent_path());
  for (const std::string text : {"", "[]", "{\"a\": 1", R"({"machines": []})", R"({"machines": {"m": {"w": 1}}})", R"({"machines": {"m": 1}})"}) {
    write_file(file_, text);
    EXPECT_THAT([&] { tuning(); }, ThrowsMessage<Error>(HasSubstr("holds no answers of --tune"))) << text;
    EXPECT_EQ(read_file(file_, 1 << 20), text);
  }
}

// As on a disk that is full or may not be written.
TEST_F(TuningFile, WhereNothingCanBeKeptItIsToldOnce) {
  Tuning tuning(file_, simulated);
  std::vector<std::string> problems;
  tuning.on_problem = [&](const std::string& problem) { problems.push_back(problem); };
  fs::create_directories(file_.parent_path().parent_path());
  write_file(file_.parent_path(), "a file where the folder should be");
  const Candidate candidates[] = {sleeper("slow", 20), sleeper("quick", 1)}, known[] = {never("slow"), never("quick")};
  EXPECT_EQ(tuning.fastest("work", candidates), "quick");
  EXPECT_EQ(tuning.fastest("other work", candidates), "quick");
  EXPECT_EQ(tuning.fastest("work", known), "quick");
  EXPECT_EQ(problems.size(), 1u);
}

// A 3 x 3, then an inverted residual. Of 64 x 64 pixels.
Graph network() {
  Graph graph;
  ValueId v = graph.add_input("x", DType::kF32, {1, 16, 64, 64});
  const auto conv = [&](int64_t filters, int64_t channels, int64_t k, int64_t groups) {
    const auto seed = static_cast<unsigned>(graph.values.size());
    const ValueId w = graph.add_constant("w" + std::to_string(seed), random_tensor({filters, channels / groups, k, k}, seed));
    v = add(graph, "Conv", {v, w}, {{"pads", List{k / 2, k / 2, k / 2, k / 2}}, {"group", groups}});
  };
  conv(16, 16, 3, 1);
  conv(96, 16, 1, 1);
  conv(96, 96, 3, 96);
  conv(24, 96, 1, 1);
  graph.outputs = {v};
  return graph;
}

std::vector<std::string> ops(const Plan& plan) {
  std::vector<std::string> names;
  for (const Node& node : plan.graph.nodes)
    if (node.def->name.find("Conv") != std::string_view::npos) names.emplace_back(node.def->name);
  return names;
}

TEST_F(TuningFile, PlansDoAsTheAnswersSay) {
  const auto plan_by = [&](bool fast) { return make_plan(network(), {.fast_math = fast, .tuning = tuning()}); };
  const auto measured = plan_by(true);
  EXPECT_THAT(kept()["machines"].front(), SizeIs(2)) << "the 3 x 3 and the chain";
  const auto ops_with = [&](const std::string& direct, const std::string& chain) {
    change_answers([&](const std::string& work, const std::string&) { return work.starts_with("3x3") ? direct : chain; });
    const auto again = tuning();
    const auto plan = make_plan(network(), {.fast_math = true, .tuning = again});
    EXPECT_EQ(again->known(), 2) << direct << ", " << chain;
    EXPECT_EQ(again->searched(), 0) << direct << ", " << chain;
    return ops(*plan);
  };
  EXPECT_THAT(ops_with("direct", "one by one"), ElementsAre("ChannelsLastConv", "ChannelsLastConv", "ChannelsLastConv", "ChannelsLastConv"));
  EXPECT_THAT(ops_with("Winograd, tiles of 2", "together"), ElementsAre("WinogradConv", "ChannelsLastConvChain"));
  EXPECT_THAT(ops_with("Winograd, tiles of 4", "the first two together"), ElementsAre("WinogradConv", "ChannelsLastConvChain", "ChannelsLastConv"));
  EXPECT_THAT(ops_with("direct", "the last two together"), ElementsAre("ChannelsLastConv", "ChannelsLastConv", "ChannelsLastConvChain"));
}

// Whatever is chosen without fast math has the bits of the plan by estimates.
TEST_F(TuningFile, ChainsKeepTheirBits) {
  const std::vector<Tensor> x = random_inputs(network());
  const auto run = [&](const PlanOptions& options) {
    Executor executor(make_plan(network(), options));
    const ConstTensorView inputs[] = {x[0].view()};
    return Tensor::copy_of(executor.run(inputs)[0]);
  };
  const Tensor expected = run({});
  EXPECT_TRUE(identical(run({.tuning = tuning()}), expected));
  for (const char* way : {"one by one", "together", "the first two together", "the last two together"}) {
    change_answers([&](const auto&, const auto&) { return way; });
    EXPECT_TRUE(identical(run({.tuning = tuning()}), expected)) << way;
  }
}

}  // namespace
}  // namespace tandem
