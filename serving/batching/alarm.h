// A thread that calls back at a time that may be changed: how a Dispatcher gets its ticks.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "serving/batching/clock.h"

namespace tandem {

class Alarm {
 public:
  explicit Alarm(std::function<void()> ring);
  // The last ring has ended.
  ~Alarm();
  // In place of the time set before; nothing: never. Any thread, also from `ring`. Wakes the thread only if it sleeps for longer: times that are set
  // and taken back with each request cost nothing.
  void set(std::optional<Clock::TimePoint> time);

 private:
  void wait();

  std::function<void()> ring_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Clock::TimePoint> time_;
  std::optional<Clock::TimePoint> sleeps_until_;  // nothing: for good
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace tandem
