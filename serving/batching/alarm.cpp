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
    const bool earlier = time && (!time_ || *time < *time_);
    time_ = time;
    if (!earlier) return;  // the thread looks again when it wakes
  }
  changed_.notify_one();
}

void Alarm::wait() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
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
