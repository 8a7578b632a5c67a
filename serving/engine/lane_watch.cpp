#include "serving/engine/lane_watch.h"

namespace tandem {

void LaneWatch::begin(int lane, std::string_view model, Clock::TimePoint now) {
  Lane& own = lanes_[static_cast<size_t>(lane)];
  const std::lock_guard lock(own.mutex);
  own.state.is_busy = true;
  own.state.since = now;
  own.state.model = model;
}

void LaneWatch::end(int lane, Clock::TimePoint now) {
  Lane& own = lanes_[static_cast<size_t>(lane)];
  const std::lock_guard lock(own.mutex);
  own.state.is_busy = false;
  own.state.since = now;
}

LaneWatch::State LaneWatch::state(int lane) const {
  const Lane& own = lanes_[static_cast<size_t>(lane)];
  const std::lock_guard lock(own.mutex);
  return own.state;
}

WatchedBatch::WatchedBatch(LaneWatch* watch, int lane, std::string_view model, const Clock& clock, int lanes)
    : watch_(watch), lane_(lane), lanes_(lanes), clock_(clock) {
  for (int i = 0; watch_ && i < lanes_; ++i) watch_->begin(lane_ + i, model, clock.now());
}

WatchedBatch::~WatchedBatch() {
  for (int i = 0; watch_ && i < lanes_; ++i) watch_->end(lane_ + i, clock_.now());
}

}  // namespace tandem
