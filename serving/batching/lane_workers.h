// The lanes of runtime/device as the Workers of a dispatcher.
#pragma once

#include "runtime/device/lane.h"
#include "serving/batching/workers.h"

namespace tandem {

class LaneWorkers final : public Workers {
 public:
  // `lend`: lanes of one thread that compute on the CPU need no thread of their own for short work. Teams, and what a GPU's context belongs to, do.
  explicit LaneWorkers(LaneSet& lanes, bool lend = false) : lanes_(lanes), lend_(lend) {}
  int lanes() const override { return static_cast<int>(lanes_.size()); }
  void submit(int lane, std::function<void()> task, std::function<void(const Error&)> dropped) override {
    lanes_[static_cast<size_t>(lane)].submit(Task(std::move(task), std::move(dropped)));
  }
  void run_across(int lane, int lanes, const std::function<void()>& work) override;
  bool lend() const override { return lend_; }

 private:
  LaneSet& lanes_;
  const bool lend_;
};

}  // namespace tandem
