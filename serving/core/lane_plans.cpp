#include "serving/core/lane_plans.h"

#include <algorithm>
#include <bit>

namespace tandem {
namespace {

// Plans of one graph place it alike: what one brought to the GPU serves the next.
bool same_constants(const Plan& a, const Plan& b) {
  return a.graph.values.size() == b.graph.values.size() && a.placement.values == b.placement.values;
}

}  // namespace

LanePlans::LanePlans(Graph graph, const Signature& signature, LanePlansOptions options)
    : graph_(std::move(graph)),
      signature_(signature),
      options_(std::move(options)),
      executors_(static_cast<size_t>(options_.lanes)) {
  use(make_plan(graph_, options_.plan));
  if (!options_.device) return;
  for (auto& executor : executors_) executor = make_executor();
}

std::shared_ptr<const Plan> LanePlans::plan() const {
  const std::lock_guard lock(mutex_);
  return plan_;
}

bool LanePlans::covers(const Plan& plan, std::span<const ConstTensorView> inputs) const {
  bool covered = true;
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    const auto bound = plan.bounds.find(symbol);
    covered = covered && (bound == plan.bounds.end() || size <= bound->second);
  });
  return covered;
}

void LanePlans::use(std::shared_ptr<const Plan> plan) {
  if (options_.device && !(constants_ && same_constants(*plan_, *plan)))
    constants_ = std::make_shared<DeviceConstants>(*plan, *options_.device);
  plan_ = std::move(plan);
}

std::unique_ptr<Executor> LanePlans::make_executor() const {
  const std::lock_guard lock(mutex_);
  return std::make_unique<Executor>(
      plan_, ExecutorOptions{.device = options_.device, .constants = constants_, .fast_math = options_.fast_math});
}

void LanePlans::grow_to(std::span<const ConstTensorView> inputs) {
  const std::lock_guard lock(mutex_);
  if (covers(*plan_, inputs)) return;
  PlanOptions options = plan_->options;
  options.bounds = plan_->bounds;
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    int64_t& bound = options.bounds[symbol];
    if (size > bound) bound = std::min(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(size))), options_.limit(symbol));
  });
  use(make_plan(graph_, options));
}

std::span<const ConstTensorView> LanePlans::run(int lane, std::span<const ConstTensorView> inputs) {
  std::unique_ptr<Executor>& executor = executors_[static_cast<size_t>(lane)];
  if (!executor || !covers(executor->plan(), inputs)) {
    grow_to(inputs);
    executor.reset();  // its memory is wanted for the next one
    executor = make_executor();
  }
  return executor->run(inputs);
}

}  // namespace tandem
