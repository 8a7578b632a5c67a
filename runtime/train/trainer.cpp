#include "runtime/train/trainer.h"

#include <algorithm>
#include <utility>

#include "runtime/comm/communicator.h"

namespace tandem {

std::vector<ConstTensorView> inputs_of(const Graph& graph, const Feed& feed) {
  std::vector<ConstTensorView> inputs;
  for (ValueId id : graph.inputs) {
    const std::string& input = graph.value(id).name;
    const auto found = feed.find(input);
    require(found != feed.end(), "no data for an input of the graph", input);
    inputs.push_back(found->second.view());
  }
  return inputs;
}

std::span<const ConstTensorView> run_feed(Executor& executor, const Feed& feed) {
  return executor.run(inputs_of(executor.plan().graph, feed));
}

namespace {

StepConfig placed(StepConfig config, bool on_device) {
  config.on_device = on_device;
  return config;
}

}  // namespace

Trainer::Trainer(const Network& network, const StepConfig& config, const Options& options)
    : network_(network),
      config_(placed(config, options.device != nullptr)),
      graphs_(build_step(network, config_)),
      rank_(options.communicator ? options.communicator->rank() : 0),
      on_device_(options.device != nullptr) {
  const int world = options.communicator ? options.communicator->size() : 1;
  require(world == config.world_size, "the communicator has another number of ranks than the step was built for", world,
          config.world_size);
  const PlanOptions plan{.threads = options.threads,
                         .bounds = {},
                         .default_bound = options.micro_batch,
                         .precision = config.precision == DType::kBF16 && !on_device_ ? DType::kBF16 : DType::kF32,
                         .target = on_device_ ? Space::kDevice : Space::kHost,
                         .strict_device = options.strict_device,
                         .device_memory_limit = on_device_ ? options.device->free_bytes() : INT64_MAX,
                         .device_collectives = on_device_ && options.communicator && options.communicator->devices(),
                         .fast_math = options.fast_math};
  const ExecutorOptions shared{.states = states_,
                               .communicator = options.communicator,
                               .profiler = options.profiler,
                               .device = options.device,
                               .constants = {},
                               .fast_math = options.fast_math};
  const auto executor = [&](const Graph& graph, const PlanOptions& options) { return std::make_unique<Executor>(make_plan(graph, options), shared); };
  if (graphs_.first) first_ = executor(*graphs_.first, plan);
  if (graphs_.middle) middle_ = executor(*graphs_.middle, plan);
  update_ = executor(graphs_.update, plan);
  PlanOptions evaluation = plan;
  if (options.evaluation_batch > 0) evaluation.default_bound = options.evaluation_batch;
  evaluate_ = executor(graphs_.evaluate, evaluation);
}

// The graph that runs this micro-batch of a step.
Executor& Trainer::executor_of(int64_t micro_batch) {
  const int64_t m = micro_batch % config_.accumulate;
  if (m + 1 == config_.accumulate) return *update_;
  return m == 0 ? *first_ : *middle_;
}

void Trainer::prefetch(const std::function<const Feed&(int64_t)>& feed, int64_t micro_batch) {
  Executor& executor = executor_of(micro_batch);
  const Graph& graph = executor.plan().graph;
  const Feed& feed_of_graph = feed(micro_batch);
  const bool counts = std::ranges::any_of(graph.inputs, [&](ValueId id) { return graph.value(id).name == "micro_batch"; });
  if (!on_device_ && !counts) {
    executor.prefetch(inputs_of(graph, feed_of_graph));
  } else {
    fed_ = feed_of_graph;
    micro_batch_.as<int64_t>()[0] = micro_batch;
    fed_["micro_batch"] = micro_batch_;
    executor.prefetch(inputs_of(graph, fed_));
  }
  prefetched_ = micro_batch;
}

// What goes wrong with data ahead is said by the step that needs it.
void Trainer::prefetch_ahead(const std::function<const Feed&(int64_t)>& feed, int64_t micro_batch) {
  try {
    prefetch(feed, micro_batch);
  } catch (const std::exception&) {
    prefetched_ = -1;
  }
}

Trainer::Step Trainer::step(const std::function<const Feed&(int64_t)>& feed) {
  const int64_t done = steps_done(), first = (done * config_.world_size + rank_) * config_.accumulate;
  Step step;
  for (int64_t m = 0; m < config_.accumulate; ++m) {
    const bool last = m + 1 == config_.accumulate;
    Executor& executor = executor_of(first + m);
    if (prefetched_ != first + m) prefetch(feed, first + m);
    prefetched_ = -1;
    executor.start();
    if (on_device_) prefetch_ahead(feed, last ? first + config_.world_size * config_.accumulate : first + m + 1);
    const auto outputs = executor.finish();
    const auto scalar = [&](size_t i) { return static_cast<double>(outputs[i].as<float>()[0]); };
    step.loss += scalar(0) / config_.accumulate;
    if (!last) continue;
    step.learning_rate = scalar(1);
    if (outputs.size() > 2) step.gradient_norm = scalar(2);
  }
  steps_done_ = done + 1;
  return step;
}

void Trainer::end_steps() {
  first_.reset();
  middle_.reset();
  update_.reset();
}

int64_t Trainer::steps_done() {
  if (steps_done_ < 0) steps_done_ = states_->read("step")->as<int64_t>()[0];
  return steps_done_;
}

StateStore& Trainer::states() {
  steps_done_ = -1;
  return *states_;
}

Network Trainer::trained() const {
  Network network = network_;
  for (const Bucket& bucket : graphs_.buckets) {
    const auto flat = states_->read("parameters." + bucket.name)->as<float>();
    for (const Bucket::Entry& entry : bucket.entries) {
      const ParameterInfo& parameter = graphs_.parameters[entry.parameter];
      Value& constant = network.graph.value(network.graph.find(parameter.name));
      constant.data = Tensor::of<float>(
          parameter.shape, flat.subspan(static_cast<size_t>(entry.offset), static_cast<size_t>(parameter.shape.elements())));
    }
  }
  for (Value& value : network.graph.values)
    if (const Tensor* statistic = states_->read(value.name + ".running"); statistic && value.kind == ValueKind::kConstant)
      value.data = statistic->clone();
  return network;
}

}  // namespace tandem
