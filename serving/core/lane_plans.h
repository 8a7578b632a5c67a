// A model on one side, the CPU or a GPU: the plan that all lanes share, which grows with the requests, and an Executor a lane.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
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
  std::function<void(const Plan& plan)> admit = {};  // asked before lanes take memory for a larger plan; throws if it may not be
  std::function<int64_t(std::string_view symbol)> limit;  // the most that a symbol of the inputs is planned for
};

class LanePlans {
 public:
  // `signature` is of this graph; it may be completed after this, and must outlive the object. On a GPU the constants and all
  // executors are made now, so that what does not fit is known at once. Throws what make_plan and Executor throw.
  LanePlans(Graph graph, const Signature& signature, LanePlansOptions options);

  // Runs on the calling thread, the owner of `lane`. What is beyond the present plan makes a larger one first. The outputs stand
  // until the lane's next run. After OutOfMemory, for a plan that cannot grow so far, the lane goes on with the one it had, and
  // so do all others.
  std::span<const ConstTensorView> run(int lane, std::span<const ConstTensorView> inputs, const StopCheck& stop = {});
  // Makes every lane ready for requests of so many rows each (0: for the one shape of a model without a batch dimension): on a GPU, the
  // first such request replays what was captured here. A lane that gets a larger plan later makes itself ready again. To be called once,
  // before the first run, with a complete signature that has example_inputs. Throws what run throws.
  void make_ready(std::vector<int64_t> batch_sizes);
  // From now on there are so many lanes, each with a team of so many threads; what lanes hold goes. Before any lane runs for requests, on the CPU alone. Throws
  // what make_plan throws: all is then as it was.
  void set_lanes(int lanes, int threads);
  // Gives back what the lane holds. On the lane's thread.
  void drop(int lane);

  // Any thread.
  std::shared_ptr<const Plan> plan() const;
  int64_t captured_graphs() const;   // of all lanes, as each one's last run left them
  std::string not_captured() const;  // why a lane's capture failed, "" if none did

 private:
  struct Planned {
    std::shared_ptr<const Plan> plan;
    std::shared_ptr<const DeviceConstants> constants;  // of the plan, on the GPU
  };
  struct Lane {
    Planned planned;  // what its last executor was made of: known to fit
    std::unique_ptr<Executor> executor;
    bool warms_up = true;  // false once memory was too little for it
    std::atomic<int64_t> captured_graphs{0};
  };
  bool covers(const Plan& plan, std::span<const ConstTensorView> inputs) const;
  Planned with_constants(std::shared_ptr<const Plan> plan) const;
  Planned larger(const Lane& lane, std::span<const ConstTensorView> inputs) const;
  void make_executor(Lane& lane, const Planned& planned) const;
  void prepare(Lane& lane, std::span<const ConstTensorView> inputs);
  void warm_up(Lane& lane);
  void take_note(Lane& lane);

  Graph graph_;  // as it was given, less what plans hold packed: a plan for a GPU has copies in its own
  const Signature& signature_;
  LanePlansOptions options_;
  std::vector<int64_t> batch_sizes_;  // to be ready for
  mutable std::mutex mutex_;          // of the next two
  Planned largest_;                   // that an executor was made of
  std::string not_captured_;
  std::vector<Lane> lanes_;   // each touched by its lane alone
};

}  // namespace tandem
