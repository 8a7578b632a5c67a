#include "serving/monitor/request_tracer.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "kernels/base/error.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class RequestTracerTest : public testing::Test {
 protected:
  ~RequestTracerTest() override { fs::remove_all(folder_); }
  RequestTracerTest() { fs::create_directories(folder_); }
  std::string path() const { return (folder_ / "trace").string(); }
  static json read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return json::parse(text.str());
  }
  static void write(RequestTracer& tracer, uint64_t id, std::string_view request = "") {
    const std::pair<std::string_view, int64_t> times[] = {{"REQUEST_START", 1}, {"REQUEST_END", 5}};
    tracer.write({id, "m", request, 1, times});
  }

  fs::path folder_ = fs::temp_directory_path() / ("tandem-trace-" + std::to_string(getpid()));
};

TEST_F(RequestTracerTest, SamplesByRateAndCountOfTheModel) {
  RequestTracer tracer(path());
  EXPECT_FALSE(tracer.sample("m"));
  tracer.update("", {.timestamps = true, .rate = 3});
  int traced = 0;
  for (int i = 0; i < 9; ++i) traced += tracer.sample("m").has_value();
  EXPECT_EQ(traced, 3);
  tracer.update("own", {.rate = 1, .count = 2});
  traced = 0;
  for (int i = 0; i < 9; ++i) traced += tracer.sample("own").has_value();
  EXPECT_EQ(traced, 2);
  EXPECT_EQ(tracer.settings("own").count, 0);
  EXPECT_EQ(tracer.update("own", {.clear_rate = true, .clear_count = true}).rate, 3);
  EXPECT_EQ(tracer.settings("own").count, -1);
}

TEST_F(RequestTracerTest, TheFileIsJsonAfterEachTrace) {
  RequestTracer tracer(path());
  write(tracer, 1, "a\"\n");
  EXPECT_EQ(read(path()).size(), 2u);
  write(tracer, 2);
  const json traces = read(path());
  ASSERT_EQ(traces.size(), 4u);
  EXPECT_EQ(traces[0], json::parse(R"({"id": 1, "model_name": "m", "model_version": 1, "request_id": "a??"})"));
  EXPECT_EQ(traces[3]["timestamps"][1], json::parse(R"({"name": "REQUEST_END", "ns": 5})"));
}

TEST_F(RequestTracerTest, FilesFollowEachOther) {
  RequestTracer tracer(path());
  tracer.update("", {.log_frequency = 2});
  for (uint64_t id = 1; id <= 5; ++id) write(tracer, id);
  EXPECT_EQ(read(path()).size(), 4u);
  EXPECT_EQ(read(path() + ".1").size(), 4u);
  EXPECT_EQ(read(path() + ".2").size(), 2u);
}

TEST_F(RequestTracerTest, WritersDoNotMix) {
  RequestTracer tracer(path());
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 50; ++i) write(tracer, t * 50 + i);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read(path()).size(), 400u);
}

TEST_F(RequestTracerTest, RefusesWhatMakesNoSense) {
  RequestTracer tracer(path());
  EXPECT_THROW(tracer.update("", {.rate = 0}), Error);
  EXPECT_THROW(tracer.update("", {.count = -2}), Error);
  EXPECT_THROW(tracer.update("", {.log_frequency = -1}), Error);
  EXPECT_THROW(RequestTracer((folder_ / "none/trace").string()), Error);
  RequestTracer without;
  without.update("", {.timestamps = true, .rate = 1});
  EXPECT_FALSE(without.sample("m"));
}

}  // namespace
}  // namespace tandem
