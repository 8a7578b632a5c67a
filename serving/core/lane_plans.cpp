#include "serving/core/lane_plans.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "kernels/base/error.h"
#include "runtime/plan/constant_release.h"

namespace tandem {
namespace {

// Plans of one graph place it alike: what one brought to the GPU serves the next.
bool same_constants(const Plan& a, const Plan& b) {
  return a.graph.values.size() == b.graph.values.size() && a.placement.values == b.placement.values;
}

}  // namespace

LanePlans::LanePlans(Graph graph, const Signature& signature, LanePlansOptions options)
    : graph_(std::move(graph)), signature_(signature), options_(std::move(options)), lanes_(static_cast<size_t>(options_.lanes)) {
  if (!options_.device) {
    Graph given = graph_;
    let_go_of_constants(graph_);  // so that the plan alone has them, and each goes as it is packed
    largest_ = {make_plan(std::move(given), options_.plan), nullptr};
    if (!take_constants(graph_, *largest_.plan)) graph_ = largest_.plan->graph;
    return;
  }
  largest_ = with_constants(make_plan(graph_, options_.plan));
  for (Lane& lane : lanes_) make_executor(lane, largest_);
}

std::shared_ptr<const Plan> LanePlans::plan() const {
  const std::lock_guard lock(mutex_);
  return largest_.plan;
}

bool LanePlans::covers(const Plan& plan, std::span<const ConstTensorView> inputs) const {
  bool covered = true;
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    const auto bound = plan.bounds.find(symbol);
    covered = covered && (bound == plan.bounds.end() || size <= bound->second);
  });
  return covered;
}

LanePlans::Planned LanePlans::with_constants(std::shared_ptr<const Plan> plan) const {
  if (!options_.device) return {std::move(plan), nullptr};
  if (largest_.constants && same_constants(*largest_.plan, *plan)) return {std::move(plan), largest_.constants};
  auto constants = std::make_shared<DeviceConstants>(*plan, *options_.device);
  return {std::move(plan), std::move(constants)};
}

// What the lane holds on the GPU makes room for the next, and the constants stay where they are.
LanePlans::Planned LanePlans::larger(const Lane& lane, std::span<const ConstTensorView> inputs) const {
  PlanOptions options = largest_.plan->options;
  options.bounds = largest_.plan->bounds;
  options.tuning = nullptr;  // a request may wait for it
  visit_symbols(signature_, inputs, [&](const std::string& symbol, int64_t size) {
    int64_t& bound = options.bounds[symbol];
    if (size > bound) bound = std::min(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(size))), options_.limit(symbol));
  });
  if (options_.device)
    options.device_memory_limit =
        options_.device->free_bytes() + (lane.executor ? lane.planned.plan->device.total() : largest_.plan->device.constants);
  return with_constants(make_plan(graph_, options));
}

void LanePlans::make_executor(Lane& lane, const Planned& planned) const {
  lane.executor.reset();  // its memory is wanted for the next one
  lane.executor = std::make_unique<Executor>(
      planned.plan, ExecutorOptions{.device = options_.device, .constants = planned.constants, .fast_math = options_.fast_math});
  lane.planned = planned;
}

// A plan is for all lanes only once an executor was made of it: one that does not fit costs the other lanes nothing.
void LanePlans::prepare(Lane& lane, std::span<const ConstTensorView> inputs) {
  const std::lock_guard lock(mutex_);
  if (lane.planned.plan && covers(*lane.planned.plan, inputs)) return make_executor(lane, lane.planned);
  if (covers(*largest_.plan, inputs)) return make_executor(lane, largest_);
  const Planned planned = larger(lane, inputs);
  if (options_.admit) options_.admit(*planned.plan);
  make_executor(lane, planned);
  largest_ = planned;
}

void LanePlans::make_ready(std::vector<int64_t> batch_sizes) {
  batch_sizes_ = std::move(batch_sizes);
  std::ranges::sort(batch_sizes_, std::greater());  // the largest first: the plan grows once
  try {
    for (Lane& lane : lanes_) warm_up(lane);
  } catch (...) {
    batch_sizes_.clear();  // requests need not meet it again
    throw;
  }
}

void LanePlans::set_lanes(int lanes, int threads) {
  ensure(!options_.device, "a GPU's lanes are as they were made");
  PlanOptions options = largest_.plan->options;
  options.bounds = largest_.plan->bounds;
  options.threads = threads;
  options.tuning = options_.plan.tuning;
  Planned planned{make_plan(graph_, options), nullptr};
  options_.lanes = lanes;
  options_.plan.threads = threads;
  lanes_ = std::vector<Lane>(static_cast<size_t>(lanes));
  largest_ = std::move(planned);
}

// Should memory be too little for that, the lane goes without from then on.
void LanePlans::warm_up(Lane& lane) {
  if (!std::exchange(lane.warms_up, false)) return;
  for (const int64_t rows : batch_sizes_) {
    const std::vector<Tensor> examples = example_inputs(signature_, rows);
    std::vector<ConstTensorView> inputs;
    for (const Tensor& example : examples) inputs.push_back(example.view());
    if (!lane.executor || !covers(lane.executor->plan(), inputs)) prepare(lane, inputs);
    lane.executor->prepare(inputs);
    take_note(lane);
  }
  lane.warms_up = true;
}

void LanePlans::take_note(Lane& lane) {
  lane.captured_graphs.store(lane.executor->captured_graphs(), std::memory_order_relaxed);
  if (lane.executor->not_captured().empty()) [[likely]]
    return;
  const std::lock_guard lock(mutex_);
  not_captured_ = lane.executor->not_captured();
}

int64_t LanePlans::captured_graphs() const {
  int64_t graphs = 0;
  for (const Lane& lane : lanes_) graphs += lane.captured_graphs.load(std::memory_order_relaxed);
  return graphs;
}

std::string LanePlans::not_captured() const {
  const std::lock_guard lock(mutex_);
  return not_captured_;
}

void LanePlans::drop(int lane) {
  Lane& own = lanes_[static_cast<size_t>(lane)];
  own.executor.reset();
  own.planned = {};
  own.captured_graphs = 0;
}

std::span<const ConstTensorView> LanePlans::run(int lane, std::span<const ConstTensorView> inputs, const StopCheck& stop) {
  Lane& own = lanes_[static_cast<size_t>(lane)];
  try {
    if (!own.executor || !covers(own.executor->plan(), inputs)) {
      prepare(own, inputs);
      warm_up(own);
    }
    const std::span<const ConstTensorView> outputs = own.executor->run(inputs, stop);
    take_note(own);
    return outputs;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory) {  // it stopped half-way
      own.executor.reset();
      own.captured_graphs = 0;
    }
    throw;
  }
}

}  // namespace tandem
