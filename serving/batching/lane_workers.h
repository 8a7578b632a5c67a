// The lanes of runtime/device as the Workers of a scheduler: each task goes to the lane with the least to do.
#pragma once

#include "runtime/device/lane.h"
#include "serving/batching/scheduler.h"

namespace tandem {

class LaneWorkers final : public Workers {
 public:
  explicit LaneWorkers(LaneSet& lanes) : lanes_(lanes) {}
  void submit(std::function<void(int lane)> task, std::function<void(const Error&)> dropped) override;

 private:
  LaneSet& lanes_;
};

}  // namespace tandem
