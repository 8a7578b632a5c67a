// What a server stands on, in the hands of a test: a clock that stands still, and lanes that run what they were given when the
// test says so.
#pragma once

#include <deque>
#include <utility>

#include "serving/batching/clock.h"
#include "serving/batching/workers.h"

namespace tandem {

class TestClock final : public Clock {
 public:
  TimePoint now() const override { return time; }
  TimePoint time{std::chrono::hours(1)};
};

class HeldWorkers final : public Workers {
 public:
  explicit HeldWorkers(int lanes = 1) : count_(lanes) {}
  int lanes() const override { return count_; }
  void submit(int lane, std::function<void()> task, std::function<void(const Error&)>) override {
    woken.emplace_back(lane, std::move(task));
  }
  void run_all() {
    while (!woken.empty()) {
      auto task = std::move(woken.front().second);
      woken.pop_front();
      task();
    }
  }
  bool lend() const override { return lends; }
  std::deque<std::pair<int, std::function<void()>>> woken;
  bool lends = false;

 private:
  int count_;
};

}  // namespace tandem
