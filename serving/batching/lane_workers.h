// The lanes of runtime/device as the Workers of a dispatcher.
#pragma once

#include "runtime/device/lane.h"
#include "serving/batching/workers.h"

namespace tandem {

class LaneWorkers final : public Workers {
 public:
  explicit LaneWorkers(LaneSet& lanes) : lanes_(lanes) {}
  int lanes() const override { return static_cast<int>(lanes_.size()); }
  void submit(int lane, std::function<void()> task, std::function<void(const Error&)> dropped) override {
    lanes_[static_cast<size_t>(lane)].submit(Task(std::move(task), std::move(dropped)));
  }

 private:
  LaneSet& lanes_;
};

}  // namespace tandem
