// Lanes under a clock of their own: threads of which one runs at a time, always the one whose time comes first, so that every run of a test is
// the same. A batch that "takes" 5 ms sleeps until then, and the others go on meanwhile.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "serving/batching/clock.h"
#include "serving/batching/workers.h"

namespace tandem {

class SimulatedMachine final : public Clock, public Workers {
 public:
  // Actor 0 is the thread that makes it; the lanes are actors 1 and up.
  explicit SimulatedMachine(int lanes) : actors_(static_cast<size_t>(lanes) + 1) {
    actors_[0].wake = now_;
    for (size_t i = 1; i < actors_.size(); ++i) threads_.emplace_back([this, i] { live(i); });
  }
  ~SimulatedMachine() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  TimePoint now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  int lanes() const override { return static_cast<int>(actors_.size()) - 1; }
  void submit(int lane, std::function<void()> task, std::function<void(const Error&)>) override {
    const std::lock_guard lock(mutex_);
    Actor& actor = actors_[static_cast<size_t>(lane) + 1];
    actor.task = std::move(task);
    actor.wake = now_;
  }

  void sleep_until(TimePoint time) { sleep(0, time); }  // of the thread that made it
  void work(int lane, TimePoint::duration takes) { sleep(static_cast<size_t>(lane) + 1, now() + takes); }

 private:
  struct Actor {
    std::optional<TimePoint> wake = {};  // nothing: it waits for a task
    std::function<void()> task = {};
  };

  void sleep(size_t actor, TimePoint time) {
    std::unique_lock lock(mutex_);
    actors_[actor].wake = time;
    yield(lock, actor);
  }

  // Gives way to whoever is next, and returns when that is this actor.
  void yield(std::unique_lock<std::mutex>& lock, size_t actor) {
    size_t next = actors_.size();
    for (size_t i = 0; i < actors_.size(); ++i)
      if (actors_[i].wake && (next == actors_.size() || *actors_[i].wake < *actors_[next].wake)) next = i;
    if (next < actors_.size()) {
      current_ = next;
      now_ = std::max(now_, *actors_[next].wake);
    }
    if (current_ != actor) changed_.notify_all();
    changed_.wait(lock, [&] { return ended_ || current_ == actor; });
  }

  void live(size_t actor) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || current_ == actor; });
    while (!ended_) {
      std::function<void()> task = std::move(actors_[actor].task);
      actors_[actor].task = nullptr;
      lock.unlock();
      if (task) task();
      task = nullptr;
      lock.lock();
      if (!actors_[actor].task) actors_[actor].wake.reset();
      yield(lock, actor);
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Actor> actors_;
  TimePoint now_{std::chrono::hours(1)};
  size_t current_ = 0;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tandem
