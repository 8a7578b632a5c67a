// The steps of a run whose shapes only the run knows: after NonZero, on sequences and optional values, in the bodies of If and Loop.
//
// Such a step is bound when the run reaches it. The shape rule of its op sees the shapes at hand and, if these do not settle it, the content of
// small inputs (axes, starts, sizes); the kernel is bound for what came out, kept while the shapes stay, and writes into tensors of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/exec/live_bytes.h"
#include "runtime/graph/run_value.h"
#include "runtime/plan/plan.h"

namespace tandem {

class Executor;

class DynamicSteps {
 public:
  // Throws what making executors for the subgraphs throws.
  explicit DynamicSteps(std::shared_ptr<const Plan> plan);
  ~DynamicSteps();

  // Forgets the values of the last run: what nobody else holds is free.
  void begin();
  void set_value(ValueId id, RunValue value) { values_[static_cast<size_t>(id)] = std::move(value); }
  const RunValue& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }

  // `planned`: the views of the inputs that are not dynamic; null for those that are. `stop` (null: none) is asked before each run of a body,
  // and between its steps.
  // Throws what the op throws, Cancelled if it was stopped.
  void run(size_t step, Inputs planned, const KernelContext& context, const std::function<bool()>* stop);

  // The most bytes that values, scratch and what bodies hold took at once so far.
  int64_t peak_bytes() const;

 private:
  struct Frame;
  void run_kernel(size_t step, std::span<const ConstTensorView> inputs, const KernelContext& context);
  ValueId taken_over(size_t step, const Node& node, std::span<const ConstTensorView> inputs, size_t output, const Shape& shape) const;
  void evaluate(size_t step, const Node& node, Inputs planned, const KernelContext& context, const std::function<bool()>* stop);
  void keep(const Node& node, size_t output, RunValue value, bool fresh = false);

  std::shared_ptr<const Plan> plan_;
  std::vector<RunValue> values_;                 // indexed by ValueId
  std::vector<std::unique_ptr<Frame>> frames_;   // by step; made when first needed
  std::vector<std::vector<ValueId>> last_read_;  // by step
  std::map<std::pair<int, std::string>, std::unique_ptr<Executor>> bodies_;
  Tensor workspace_;
  LiveBytes live_;
};

}  // namespace tandem
