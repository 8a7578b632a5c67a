#include "serving/grpc/call_queue-inl.h"

#include <gmock/gmock.h>
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tandem::grpc_detail {
namespace {

// What came, in its order; events put work off that writes its own name.
class Story {
 public:
  void add(const std::string& what) {
    const std::lock_guard lock(mutex_);
    told_.push_back(what);
    changed_.notify_all();
  }
  std::vector<std::string> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return told_.size() >= count; });
    return told_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
};

class Arrival final : public Event {
 public:
  Arrival(CallQueue& queue, Story& story) : queue_(queue), story_(story) {}
  void happened(bool) override {
    story_.add("came");
    queue_.run_later()([this] { story_.add("run"); });
  }

 private:
  CallQueue& queue_;
  Story& story_;
};

TEST(CallQueue, WhatIsPutOffRunsBehindAllThatIsReady) {
  grpc::ServerBuilder builder;
  Story story;
  std::unique_ptr<grpc::Server> server;
  CallQueue queue(builder.AddCompletionQueue());
  server = builder.BuildAndStart();
  Arrival arrivals[3] = {{queue, story}, {queue, story}, {queue, story}};
  grpc::Alarm alarms[3];
  const auto past = std::chrono::system_clock::now() - std::chrono::seconds(1);
  for (int i = 0; i < 3; ++i) alarms[i].Set(queue.get(), past, arrivals[i].tag());
  queue.start();
  EXPECT_THAT(story.wait_for(6), testing::ElementsAre("came", "came", "came", "run", "run", "run"));
  server->Shutdown();
}

}  // namespace
}  // namespace tandem::grpc_detail
