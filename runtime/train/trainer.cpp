#include "runtime/train/trainer.h"

#include <algorithm>
#include <utility>

#include "runtime/comm/communicator.h"

namespace tandem {

std::span<const ConstTensorView> run_feed(Executor& executor, const Feed& feed) {
  const Graph& graph = executor.plan().graph;
  std::vector<ConstTensorView> inputs;
  for (ValueId id : graph.inputs) {
    const std::string& input = graph.value(id).name;
    const auto found = feed.find(input);
    require(found != feed.end(), "no data for an input of the graph", input);
    inputs.push_back(found->second.view());
  }
  return executor.run(inputs);
}

Trainer::Trainer(const Network& network, const StepConfig& config, const Options& options)
    : network_(network),
      config_(config),
      graphs_(build_step(network, config)),
      rank_(options.communicator ? options.communicator->rank() : 0) {
  const int world = options.communicator ? options.communicator->size() : 1;
  require(world == config.world_size, "the communicator has another number of ranks than the step was built for", world,
          config.world_size);
  const PlanOptions plan{.threads = options.threads, .bounds = {}, .default_bound = options.micro_batch};
  const ExecutorOptions shared{.states = states_, .communicator = options.communicator, .profiler = options.profiler};
  const auto executor = [&](const Graph& graph) { return std::make_unique<Executor>(make_plan(graph, plan), shared); };
  if (graphs_.first) first_ = executor(*graphs_.first);
  if (graphs_.middle) middle_ = executor(*graphs_.middle);
  update_ = executor(graphs_.update);
  evaluate_ = executor(graphs_.evaluate);
}

std::span<const ConstTensorView> Trainer::run(Executor& executor, const Feed& feed, int64_t micro_batch) {
  const Graph& graph = executor.plan().graph;
  const bool counts = std::ranges::any_of(graph.inputs, [&](ValueId id) { return graph.value(id).name == "micro_batch"; });
  if (!counts) return run_feed(executor, feed);
  Feed counted = feed;
  counted["micro_batch"] = Tensor::scalar<int64_t>(micro_batch);
  return run_feed(executor, counted);
}

Trainer::Step Trainer::step(const std::function<const Feed&(int64_t)>& feed) {
  const int64_t first = (steps_done() * config_.world_size + rank_) * config_.accumulate;
  Step step;
  for (int64_t m = 0; m < config_.accumulate; ++m) {
    const bool last = m + 1 == config_.accumulate;
    const auto outputs = run(last ? *update_ : m == 0 ? *first_ : *middle_, feed(first + m), first + m);
    const auto scalar = [&](size_t i) { return static_cast<double>(outputs[i].as<float>()[0]); };
    step.loss += scalar(0) / config_.accumulate;
    if (!last) continue;
    step.learning_rate = scalar(1);
    if (outputs.size() > 2) step.gradient_norm = scalar(2);
  }
  return step;
}

int64_t Trainer::steps_done() const { return states_->find("step")->as<int64_t>()[0]; }

Network Trainer::trained() const {
  Network network = network_;
  for (const Bucket& bucket : graphs_.buckets) {
    const auto flat = std::as_const(*states_->find("parameters." + bucket.name)).as<float>();
    for (const Bucket::Entry& entry : bucket.entries) {
      const ParameterInfo& parameter = graphs_.parameters[entry.parameter];
      Value& constant = network.graph.value(network.graph.find(parameter.name));
      constant.data = Tensor::of<float>(
          parameter.shape, flat.subspan(static_cast<size_t>(entry.offset), static_cast<size_t>(parameter.shape.elements())));
    }
  }
  for (Value& value : network.graph.values)
    if (const Tensor* statistic = states_->find(value.name + ".running"); statistic && value.kind == ValueKind::kConstant)
      value.data = statistic->clone();
  return network;
}

}  // namespace tandem
