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

WatchedBatch::WatchedBatch(LaneWatch* watch, int lane, std::string_view model, const Clock& clock)
    : watch_(watch), lane_(lane), clock_(clock) {
  if (watch_) watch_->begin(lane, model, clock.now());
}

WatchedBatch::~WatchedBatch() {
  if (watch_) watch_->end(lane_, clock_.now());
}

}  // namespace tandem
