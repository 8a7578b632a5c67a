#include "serving/batching/alarm.h"

namespace tandem {

Alarm::Alarm(std::function<void()> ring) : ring_(std::move(ring)), thread_([this] { wait(); }) {}

Alarm::~Alarm() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Alarm::set(std::optional<Clock::TimePoint> time) {
  {
    const std::lock_guard lock(mutex_);
    time_ = time;
    if (!time || (sleeps_until_ && *sleeps_until_ <= *time)) return;  // the thread looks again when it wakes
    sleeps_until_ = time;
  }
  changed_.notify_one();
}

void Alarm::wait() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    sleeps_until_ = time_;
    if (!time_) {
      changed_.wait(lock);
    } else if (std::chrono::steady_clock::now() < *time_) {
      changed_.wait_until(lock, *time_);
    } else {
      time_.reset();
      lock.unlock();
      ring_();
      lock.lock();
    }
  }
}

}  // namespace tandem
