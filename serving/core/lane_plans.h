// A model on one side, the CPU or a GPU: the plan that all lanes share, which grows with the requests, and an Executor a lane.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/exec/executor.h"
#include "runtime/plan/plan.h"
#include "serving/core/signature.h"

namespace tandem {

struct LanePlansOptions {
  PlanOptions plan;
  int lanes = 1;
  std::shared_ptr<Device> device = {};  // of a plan for a GPU
  bool fast_math = false;
  std::function<int64_t(std::string_view symbol)> limit;  // the most that a symbol of the inputs is planned for
};

class LanePlans {
 public:
  // `signature` is of this graph; it may be completed after this, and must outlive the object. On a GPU the constants and all
  // executors are made now, so that what does not fit is known at once. Throws what make_plan and Executor throw.
  LanePlans(Graph graph, const Signature& signature, LanePlansOptions options);

  // Runs on the calling thread, the owner of `lane`. What is beyond the present plan makes a larger one first. The outputs stand
  // until the lane's next run.
  std::span<const ConstTensorView> run(int lane, std::span<const ConstTensorView> inputs);
  // Gives back what the lane holds. On the lane's thread.
  void drop(int lane) { executors_[static_cast<size_t>(lane)].reset(); }

  std::shared_ptr<const Plan> plan() const;

 private:
  bool covers(const Plan& plan, std::span<const ConstTensorView> inputs) const;
  void use(std::shared_ptr<const Plan> plan);
  void grow_to(std::span<const ConstTensorView> inputs);
  std::unique_ptr<Executor> make_executor() const;

  Graph graph_;  // as it was given: a plan for a GPU has copies in its own
  const Signature& signature_;
  LanePlansOptions options_;
  mutable std::mutex mutex_;                          // of the next two
  std::shared_ptr<const Plan> plan_;                  // the largest made so far
  std::shared_ptr<const DeviceConstants> constants_;  // of plan_, on the GPU
  std::vector<std::unique_ptr<Executor>> executors_;  // by lane; each touched by its lane alone
};

}  // namespace tandem
