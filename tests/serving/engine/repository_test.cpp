// Folders as a user may leave them, with a loader of the test's own: no ONNX here.
#include "serving/engine/repository.h"
#include "runtime/ops/all_ops.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "runtime/graph/op_def.h"
#include "runtime/io/file.h"
#include "runtime/io/mapped_file.h"
#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class RepositoryTest : public testing::Test {
 protected:
  RepositoryTest() : root_(fs::temp_directory_path() / ("tandem-repository-" + std::to_string(getpid()))) {
    fs::create_directories(root_);
  }
  ~RepositoryTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& content = "good") {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << content;
  }
  // Content "good" loads; anything else is a fault that names a path, as real ones do.
  ModelRepository open(const std::string& policy = "all", ModelControl control = ModelControl::kNone,
                       std::set<std::string, std::less<>> start = {}) {
    const auto load = [this](ModelRepository::Source source) {
      std::string content(static_cast<size_t>(size_of_file(source.file, "model.onnx")), ' ');
      read_exactly(source.file, std::as_writable_bytes(std::span(content)), 0, "model.onnx");
      require(content == "good", "cannot read " + (source.folder / "model.onnx").string());
      folder_ = source.folder;
      Graph graph;
      graph.opsets = {{"", kOnnxOpset}};
      graph.outputs = graph.add_node(newest_op("Identity"), {graph.add_input("x", DType::kF32, {"n"})}, 1);
      ++loads_;
      ModelOptions options;
      options.config = source.config;
      return std::make_shared<Model>(source.name, source.version, std::move(graph), options);
    };
    return ModelRepository(root_,
                           {.versions = parse_version_policy(policy), .control = control, .load_at_start = std::move(start)},
                           load, {dispatcher_, metrics_, clock_});
  }
  static std::string fault(const ModelRepository& repository, std::string_view name, std::optional<int64_t> version,
                           ErrorCode code) {
    try {
      repository.find(name, version);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "found";
  }

  fs::path root_;
  int loads_ = 0;
  fs::path folder_;  // of the last
  TestClock clock_;
  HeldWorkers workers_;
  ServerMetrics metrics_{"1"};
  Dispatcher dispatcher_{workers_, clock_};
};

TEST_F(RepositoryTest, ServesTheHighestReadyVersionUnlessAsked) {
  for (const char* version : {"1", "9", "10"}) write(std::string("m/") + version + "/model.onnx");
  const ModelRepository repository = open();
  EXPECT_EQ(repository.find("m")->model().version(), 10);
  EXPECT_EQ(repository.find("m", 9)->model().version(), 9);
  EXPECT_THAT(repository.ready_versions("m"), ElementsAre(1, 9, 10));
  EXPECT_TRUE(repository.all_ready());
  EXPECT_EQ(fault(repository, "m", 2, ErrorCode::kNotFound), "Request for unknown model: 'm' version 2 is not found");
  EXPECT_EQ(fault(repository, "x", {}, ErrorCode::kNotFound), "Request for unknown model: 'x' is not found");
  EXPECT_THAT(repository.ready_versions("x"), IsEmpty());
}

TEST_F(RepositoryTest, LabelsNameVersions) {
  for (const char* version : {"1", "2", "3"}) write(std::string("m/") + version + "/model.onnx");
  write("m/config.pbtxt", "parameters { key: 'labels' value { string_value: 'stable=1, canary=3, gone=9' } }");
  const ModelRepository repository = open("latest");
  EXPECT_THAT(repository.ready_versions("m"), ElementsAre(1, 3)) << "what has a label is served beside what the policy selects";
  EXPECT_EQ(repository.version_named("m", "stable"), 1);
  EXPECT_EQ(repository.version_named("m", "canary"), 3);
  EXPECT_EQ(repository.version_named("m", "2"), 2);
  EXPECT_EQ(repository.version_named("m", ""), std::nullopt);
  for (const char* wrong : {"other", "0", "-1", "1.0"}) EXPECT_THROW(repository.version_named("m", wrong), Error) << wrong;
  EXPECT_THROW(repository.version_named("n", "stable"), Error);
}

TEST_F(RepositoryTest, LoadsOnlyWhatThePolicySelects) {
  write("m/1/model.onnx", "broken, but nobody asks");
  write("m/2/model.onnx");
  const ModelRepository repository = open("latest");
  EXPECT_EQ(loads_, 1);
  EXPECT_TRUE(repository.all_ready());
  EXPECT_EQ(fault(repository, "m", 1, ErrorCode::kNotFound), "Request for unknown model: 'm' version 1 is not found");
}

TEST_F(RepositoryTest, AFaultyVersionDoesNotStopTheOthers) {
  write("m/1/model.onnx");
  write("m/2/model.onnx", "broken");
  write("n/1/model.onnx");
  const ModelRepository repository = open();
  EXPECT_EQ(repository.find("m")->model().version(), 1);
  EXPECT_EQ(repository.find("n")->model().version(), 1);
  EXPECT_FALSE(repository.all_ready());
  const std::string reason = fault(repository, "m", 2, ErrorCode::kUnavailable);
  EXPECT_THAT(reason, HasSubstr("failed to load 'm', version 2: cannot read m/2/model.onnx"));
  EXPECT_THAT(reason, Not(HasSubstr(root_.string())));
}

TEST_F(RepositoryTest, ExplainsFoldersThatAreNoModels) {
  write("flat/model.onnx");
  write("zero/01/model.onnx");
  write("hollow/1/readme");
  write("a file", "");
  write("bad name/1/model.onnx");
  fs::create_directories(root_ / ".git");
  const ModelRepository repository = open();
  std::map<std::string, std::string> reasons;
  for (const ModelListing& listing : repository.listings()) reasons[listing.name] = listing.reason;
  EXPECT_EQ(reasons.size(), 4u);
  EXPECT_THAT(reasons["flat"], HasSubstr("flat/1/model.onnx"));
  EXPECT_THAT(reasons["zero"], HasSubstr("no version folder"));
  EXPECT_THAT(reasons["hollow"], HasSubstr("failed to load 'hollow'"));
  EXPECT_THAT(reasons["bad name"], HasSubstr("not a model name"));
}

TEST_F(RepositoryTest, NothingOutsideTheRootIsRead) {
  write("real/1/model.onnx");
  fs::create_directories(root_ / "linked/1");
  fs::create_symlink(root_ / "real/1/model.onnx", root_ / "linked/1/model.onnx");
  fs::create_directory_symlink(root_ / "real", root_ / "alias");
  const ModelRepository repository = open();
  EXPECT_EQ(loads_, 1);
  EXPECT_NE(fault(repository, "linked", {}, ErrorCode::kUnavailable), "found");
  EXPECT_NE(fault(repository, "alias", {}, ErrorCode::kNotFound), "found");
}

TEST_F(RepositoryTest, TheRootMustBeAFolder) {
  write("file");
  const auto load = [](auto&&...) { return std::shared_ptr<Model>(); };
  const ServingContext context{dispatcher_, metrics_, clock_};
  EXPECT_THROW(ModelRepository(root_ / "none", {}, load, context), Error);
  EXPECT_THROW(ModelRepository(root_ / "file", {}, load, context), Error);
}

std::map<std::string, ModelState> states(const ModelRepository& repository) {
  std::map<std::string, ModelState> result;
  for (const ModelListing& listing : repository.listings())
    result[listing.name + "/" + std::to_string(listing.version)] = listing.state;
  return result;
}

TEST_F(RepositoryTest, ClientsLoadAndUnload) {
  write("m/1/model.onnx");
  write("n/1/model.onnx");
  ModelRepository repository = open("all", ModelControl::kExplicit, {"n"});
  EXPECT_EQ(loads_, 1);
  EXPECT_TRUE(repository.all_ready()) << "nobody asked for m";
  EXPECT_EQ(fault(repository, "m", {}, ErrorCode::kUnavailable), "model 'm' is not ready: not loaded");
  repository.load("m");
  EXPECT_EQ(repository.find("m")->model().version(), 1);
  EXPECT_THAT(states(repository), testing::Contains(testing::Pair("m/1", ModelState::kReady)));

  std::weak_ptr<ServedModel> old = repository.find("m");
  repository.unload("m");
  EXPECT_TRUE(old.expired()) << "nobody held it";
  EXPECT_TRUE(repository.all_ready());
  EXPECT_EQ(fault(repository, "m", {}, ErrorCode::kUnavailable), "model 'm' is not ready: unloaded");
  EXPECT_THROW(repository.unload("none"), Error);
  EXPECT_THROW(repository.load("none"), Error);
  EXPECT_THROW(repository.load("../n"), Error);
}

TEST_F(RepositoryTest, WhatWasBegunIsFinishedAfterAnUnload) {
  write("m/1/model.onnx");
  ModelRepository repository = open("all", ModelControl::kExplicit, {"*"});
  float result = 0;
  auto call = std::make_shared<InferenceCall>(
      [&](std::span<const ConstTensorView> outputs, const RunRecord&) { result = outputs[0].as<float>()[0]; },
      [](const std::exception_ptr&) { FAIL(); });
  call->inputs = {Tensor::of<float>({1}, {7.0f})};
  repository.find("m")->infer(call);
  std::weak_ptr<ServedModel> old = repository.find("m");
  repository.unload("m", std::chrono::milliseconds(0));
  EXPECT_FALSE(old.expired());
  workers_.run_all();
  call.reset();
  EXPECT_EQ(result, 7);
  EXPECT_TRUE(old.expired());
}

TEST_F(RepositoryTest, AnUnloadIsOverWhenTheLastHandleHasGone) {
  write("m/1/model.onnx");
  ModelRepository repository = open("all", ModelControl::kExplicit, {"*"});
  std::shared_ptr<ServedModel> held = repository.find("m");
  const std::weak_ptr<ServedModel> old = held;
  const std::shared_future<void> gone = held->gone();
  std::thread last([held = std::move(held)]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    held.reset();
  });
  repository.unload("m", std::chrono::seconds(30));
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(gone.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  last.join();
}

TEST_F(RepositoryTest, AFailedLoadLeavesWhatWasServed) {
  write("m/1/model.onnx");
  ModelRepository repository = open("latest", ModelControl::kExplicit, {"*"});
  write("m/2/model.onnx", "broken");
  try {
    repository.load("m");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("failed to load 'm', version 2"));
  }
  EXPECT_EQ(repository.find("m")->model().version(), 1);
  EXPECT_THAT(repository.listings()[0].reason, HasSubstr("serves what was loaded before"));
  write("m/2/model.onnx");
  repository.load("m");
  EXPECT_EQ(repository.find("m")->model().version(), 2);
  EXPECT_EQ(repository.listings()[0].reason, "");
}

TEST_F(RepositoryTest, TheConfigurationChoosesVersionsAndFile) {
  for (const char* version : {"1", "2", "3"}) write(std::string("m/") + version + "/weights.onnx");
  write("m/config.pbtxt", "version_policy { specific { versions: [ 1, 3 ] } } default_model_filename: 'weights.onnx'");
  ModelRepository repository = open("latest");
  EXPECT_THAT(repository.ready_versions("m"), ElementsAre(1, 3));
  write("n/1/model.onnx");
  write("n/config.pbtxt", "no_such_field: 1");
  EXPECT_THAT(fault(open(), "n", {}, ErrorCode::kUnavailable), HasSubstr("config.pbtxt, line 1"));
}

TEST_F(RepositoryTest, FilesMayComeWithTheRequest) {
  ModelRepository repository = open("all", ModelControl::kExplicit);
  LoadOverrides overrides{ServingConfig{}, {{"2/model.onnx", "good"}, {"2/deep/er/data", "x"}}};
  repository.load("sent", overrides);
  EXPECT_EQ(repository.find("sent")->model().version(), 2);
  EXPECT_FALSE(fs::exists(folder_)) << "kept no longer than it takes to load";
  for (const char* path :
       {"model.onnx", "1", "1/", "/1/model.onnx", "1/../../x", "01/model.onnx", "1//x", "1/.hidden", "1/a\\b", "x/model.onnx"}) {
    LoadOverrides bad{ServingConfig{}, {{"1/model.onnx", "good"}, {path, "x"}}};
    EXPECT_THROW(repository.load("bad", bad), Error) << path;
  }
  LoadOverrides within{ServingConfig{}, {{"1/model.onnx", "good"}, {"1/model.onnx/x", "x"}}};
  EXPECT_THROW(repository.load("bad", within), Error);
  EXPECT_NE(fault(repository, "bad", {}, ErrorCode::kNotFound), "found");
  overrides.files["3/model.onnx"] = "broken";
  EXPECT_THROW(repository.load("sent", overrides), Error);
  EXPECT_EQ(repository.find("sent")->model().version(), 2);
}

TEST_F(RepositoryTest, PollingFollowsTheFolderOnceItHasSettled) {
  write("m/1/model.onnx");
  ModelRepository repository = open("latest", ModelControl::kPoll);
  repository.poll();
  repository.poll();
  EXPECT_EQ(loads_, 1) << "nothing changed";
  write("m/2/model.onnx", "half a file");
  repository.poll();
  write("m/2/model.onnx", "good");
  repository.poll();
  EXPECT_EQ(loads_, 1) << "it is still being written";
  repository.poll();
  EXPECT_EQ(repository.find("m")->model().version(), 2);
  write("n/1/model.onnx");
  repository.poll();
  repository.poll();
  EXPECT_EQ(repository.find("n")->model().version(), 1);
  fs::remove_all(root_ / "n");
  repository.poll();
  EXPECT_NE(fault(repository, "n", {}, ErrorCode::kNotFound), "found");
  EXPECT_EQ(loads_, 3);
}

}  // namespace
}  // namespace tandem
