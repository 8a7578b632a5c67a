// What each lane is at: written by whoever runs a batch on it, read by the watchdog.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "serving/batching/clock.h"

namespace tandem {

// Safe from any thread.
class LaneWatch {
 public:
  struct State {
    bool is_busy = false;
    Clock::TimePoint since{};  // of the batch, or of the end of the last one
    std::string model = {};    // of the batch
  };

  explicit LaneWatch(int lanes) : lanes_(static_cast<size_t>(lanes)) {}

  int lanes() const { return static_cast<int>(lanes_.size()); }
  void begin(int lane, std::string_view model, Clock::TimePoint now);
  void end(int lane, Clock::TimePoint now);
  State state(int lane) const;

 private:
  struct Lane {
    mutable std::mutex mutex;
    State state;
  };
  std::vector<Lane> lanes_;
};

// One batch on `lanes` neighbours from `lane` on, from construction to destruction. `watch` may be null.
class WatchedBatch {
 public:
  WatchedBatch(LaneWatch* watch, int lane, std::string_view model, const Clock& clock, int lanes = 1);
  WatchedBatch(const WatchedBatch&) = delete;
  WatchedBatch& operator=(const WatchedBatch&) = delete;
  ~WatchedBatch();

 private:
  LaneWatch* const watch_;
  const int lane_, lanes_;
  const Clock& clock_;
};

}  // namespace tandem
