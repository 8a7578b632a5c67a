#include "runtime/train/step_graph.h"

#include <algorithm>

#include "runtime/autodiff/autodiff.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/mixed_precision.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/passes/training_passes.h"
#include "runtime/train/collective_schedule.h"
#include "runtime/train/emitter.h"
#include "runtime/train/loss_scaling.h"

namespace tandem {
namespace {

enum class Position { kFirst, kMiddle, kUpdate };

constexpr const Pass* kBeforeGradients[] = {&constant_folding_pass,       &identity_removal_pass,    &size_sharing_pass,
                                            &reshape_simplification_pass, &part_simplification_pass, &common_subexpression_pass,
                                            &normalization_fusion_pass};
constexpr const Pass* kFusedOnCpu[] = {&attention_fusion_pass, &embedding_bag_fusion_pass};
constexpr const Pass* kOfProducts[] = {&transposed_products_pass, &gelu_fusion_pass, &dead_code_pass};

class StepBuilder {
 public:
  StepBuilder(const Network& network, const StepConfig& config, const StepGraphs& layout)
      : config_(config), network_(network), layout_(layout), graph_(network.graph) {
    bind_parameters();
    bind_statistics();
  }

  // The network over the states.
  Graph evaluate() && { return std::move(graph_); }

  Graph training(Position position) && {
    to_training_form();
    simplify();
    if (config_.precision == DType::kF16 || (config_.precision == DType::kBF16 && config_.on_device)) {
      graph_.outputs = {graph_.find(network_.scores)};  // keeps name and type: the loss is f32
      lower_precision(graph_, config_.precision);
    }
    const ValueId loss = append_loss();
    graph_.outputs = {loss};
    if (config_.precision == DType::kF16) scaling_.emplace(graph_);
    const ValueId scaled = scaling_ ? Emitter(graph_, "loss_scale").op("Mul", {loss, scaling_->scale()}) : loss;
    const std::vector<ValueId> gradients = append_bucket_gradients(scaled);
    std::vector<BucketUpdate> updates;
    for (size_t b = 0; b < layout_.buckets.size(); ++b)
      updates.push_back({layout_.buckets[b].name, arenas_[b], accumulated(b, gradients[b], position), layout_.buckets[b].decays});
    if (position == Position::kUpdate) append_update(std::move(updates));
    run_passes(graph_);
    schedule_collectives_early(graph_);
    return std::move(graph_);
  }

 private:
  // Turns each parameter from a constant into a view of its bucket's state.
  void bind_parameters() {
    std::vector<Node> forward = std::move(graph_.nodes);
    graph_.nodes.clear();
    parameters_.resize(layout_.parameters.size());
    for (const Bucket& bucket : layout_.buckets) {
      Tensor flat(DType::kF32, {bucket.elements});
      std::vector<ValueId> ids;
      for (const Bucket::Entry& entry : bucket.entries) {
        ids.push_back(graph_.find(layout_.parameters[entry.parameter].name));
        std::ranges::copy(graph_.value(ids.back()).data.as<float>(), flat.as<float>().begin() + entry.offset);
      }
      arenas_.push_back(graph_.add_state("parameters." + bucket.name, flat));
      for (size_t e = 0; e < bucket.entries.size(); ++e) {
        const Bucket::Entry& entry = bucket.entries[e];
        const auto dims = layout_.parameters[entry.parameter].shape.dims();
        const ValueId view = Emitter(graph_, layout_.parameters[entry.parameter].name)
                                 .internal("View", {arenas_.back()},
                                           {{"offset", entry.offset}, {"shape", std::vector<int64_t>(dims.begin(), dims.end())}});
        parameters_[entry.parameter] = view;
        for (Node& node : forward) std::ranges::replace(node.inputs, ids[e], view);
      }
    }
    graph_.nodes.insert(graph_.nodes.end(), std::make_move_iterator(forward.begin()), std::make_move_iterator(forward.end()));
  }

  // Running statistics of BatchNormalization are states, in training and in evaluation.
  void bind_statistics() {
    for (Node& node : graph_.nodes) {
      if (node.def->name != "BatchNormalization") continue;
      for (size_t i = 3; i <= 4; ++i) {
        const Value constant = graph_.value(node.inputs[i]);
        if (constant.kind == ValueKind::kConstant) node.inputs[i] = graph_.add_state(constant.name + ".running", constant.data);
      }
    }
  }

  // Dropout drops; BatchNormalization normalises by the batch and updates its running statistics.
  void to_training_form() {
    const size_t forward_nodes = graph_.nodes.size();
    int64_t site = 0;
    ValueId counter = kNoValue;
    for (size_t n = 0; n < forward_nodes; ++n) {
      if (graph_.nodes[n].def->name == "Dropout") {
        if (counter == kNoValue) counter = graph_.add_input("micro_batch", DType::kI64, {});
        drop(graph_.nodes[n], counter, site++);
      } else if (graph_.nodes[n].def->name == "BatchNormalization") {
        normalize_by_batch(n);
      }
    }
  }

  void drop(Node& node, ValueId counter, int64_t site) {
    const NodeContext dropout(node);
    float ratio = dropout.get_float("ratio", 0.5f);  // an attribute before opset 12, an input since
    if (dropout.has_input(1)) {
      const Value& given = graph_.value(node.inputs[1]);
      dropout.require(given.kind == ValueKind::kConstant && given.data.dtype() == DType::kF32,
                      "to train, the ratio must be an f32 constant", given.name);
      ratio = given.data.as<float>()[0];
    }
    node.def = &newest_op("RandomDropout", "tandem");
    node.inputs = {node.inputs[0], counter};
    node.outputs.resize(1);
    node.attributes = {{"ratio", ratio}, {"seed", static_cast<int64_t>(config_.seed)}, {"site", site}};
  }

  void normalize_by_batch(size_t n) {
    const std::string name = graph_.nodes[n].name;
    const ValueId mean = graph_.add_result(name + ".mean.new");
    const ValueId variance = graph_.add_result(name + ".variance.new");
    Node& node = graph_.nodes[n];
    node.outputs = {node.outputs[0], mean, variance};
    node.attributes["training_mode"] = int64_t{1};
    infer_types(graph_, node);
    const ValueId running_mean = node.inputs[3], running_variance = node.inputs[4];
    Emitter emit(graph_, name);
    emit.internal("Assign", {running_mean, mean});
    emit.internal("Assign", {running_variance, variance});
  }

  // What exporters spell out is made one op, and what they compute of shapes numbers, before it is differentiated: one fused
  // gradient in place of many. Values get new ids.
  void simplify() {
    graph_.outputs = {graph_.find(network_.scores)};
    std::vector<std::string> arenas, parameters;
    for (ValueId id : arenas_) arenas.push_back(graph_.value(id).name);
    for (ValueId id : parameters_) parameters.push_back(graph_.value(id).name);
    run_passes(graph_, {}, kBeforeGradients);
    if (!config_.on_device) run_passes(graph_, {}, kFusedOnCpu);
    run_passes(graph_, {}, kOfProducts);
    for (size_t i = 0; i < arenas.size(); ++i) arenas_[i] = graph_.find(arenas[i]);
    for (size_t i = 0; i < parameters.size(); ++i) parameters_[i] = graph_.find(parameters[i]);
  }

  // Scores [..., classes] as rows, and the dimensions of their targets.
  ValueId append_cross_entropy(Emitter& emit, ValueId scores, Dims batch) {
    const bool is_row = batch.size() == 1;
    const int64_t axis = static_cast<int64_t>(batch.size());
    ValueId label = graph_.add_input("target", DType::kI64, std::move(batch));
    if (!is_row) {
      scores = emit.op("Flatten", {scores}, {{"axis", axis}});
      label = emit.op("Reshape", {label, graph_.add_constant("loss.rows", Tensor::of<int64_t>({1}, std::vector<int64_t>{-1}))});
    }
    return emit.op("SoftmaxCrossEntropyLoss", {scores, label}, {{"reduction", std::string("mean")}});
  }

  ValueId append_loss() {
    Emitter emit(graph_, "loss");
    const ValueId scores = graph_.find(network_.scores);
    const std::optional<Dims>& dims = graph_.value(scores).type.dims;
    require(dims && dims->size() >= 2, "the loss needs scores [batch, ..., classes]", network_.scores,
            dims ? to_string(*dims) : "of unknown rank");
    Dims batch(dims->begin(), dims->end() - 1);
    if (config_.loss == LossKind::kCrossEntropy) return append_cross_entropy(emit, scores, std::move(batch));
    const ValueId label = graph_.add_input("target", DType::kF32, *dims);
    const ValueId error = emit.op("Sub", {scores, label});
    return emit.op("ReduceMean", {emit.op("Mul", {error, error})}, {{"keepdims", int64_t{0}}});
  }

  std::vector<ValueId> append_bucket_gradients(ValueId loss) {
    const std::vector<ValueId> gradients = append_gradients(graph_, loss, parameters_);
    std::vector<ValueId> packed;
    for (const Bucket& bucket : layout_.buckets) {
      Emitter emit(graph_, "gradients." + bucket.name);
      std::vector<ValueId> inputs;
      for (const Bucket::Entry& entry : bucket.entries) {
        const ValueId gradient = gradients[entry.parameter];
        require(gradient != kNoValue, "the loss does not depend on a parameter", layout_.parameters[entry.parameter].name);
        inputs.push_back(gradient);
      }
      packed.push_back(emit.internal("Pack", inputs));
    }
    return packed;
  }

  // The bucket's sum so far, kept in a state between micro-batches.
  ValueId accumulated(size_t b, ValueId gradient, Position position) {
    if (config_.accumulate == 1) return gradient;
    const std::string name = "gradients." + layout_.buckets[b].name;
    Emitter emit(graph_, name);
    const ValueId sum = graph_.add_state(name, Tensor(DType::kF32, {layout_.buckets[b].elements}));
    if (position != Position::kFirst) gradient = emit.op("Add", {sum, gradient});
    return position == Position::kUpdate ? gradient : emit.internal("Assign", {sum, gradient});
  }

  void append_update(std::vector<BucketUpdate> updates) {
    if (config_.world_size > 1 || config_.reduces_alone) all_reduce(updates);
    Emitter emit(graph_, "step");
    const ValueId step = graph_.add_state("step", Tensor::scalar<int64_t>(0));
    const ValueId next = emit.op("Add", {step, emit.scalar(int64_t{1})});
    const ValueId learning_rate = append_schedule(graph_, config_.schedule, step);
    UpdateInputs inputs{.learning_rate = learning_rate,
                        .step = next,
                        .scale = emit.scalar(1.0f / static_cast<float>(config_.world_size * config_.accumulate))};
    if (scaling_) scale_down(inputs, updates);
    const ValueId norm = append_optimizer(graph_, config_.optimizer, updates, inputs);
    emit.internal("Assign", {step, next});
    graph_.outputs.push_back(learning_rate);
    if (norm != kNoValue) graph_.outputs.push_back(norm);
  }

  // f16: gradients carry the loss scale, and a step in which they overflowed is not applied.
  void scale_down(UpdateInputs& inputs, const std::vector<BucketUpdate>& updates) {
    Emitter emit(graph_, "loss_scale");
    inputs.sum_of_squares = append_sum_of_squares(graph_, updates);
    inputs.apply = scaling_->append_check(inputs.sum_of_squares);
    inputs.scale = emit.op("Div", {inputs.scale, scaling_->scale()});
    const ValueId applied = graph_.add_state("applied_steps", Tensor::scalar<int64_t>(0));
    inputs.step = emit.op("Add", {applied, emit.scalar(int64_t{1})});
    emit.internal("Assign", {applied, emit.op("Where", {inputs.apply, inputs.step, applied})});
    scaling_->append_update(inputs.apply);
  }

  void all_reduce(std::vector<BucketUpdate>& updates) {
    std::vector<std::vector<ValueId>> begun;
    for (const BucketUpdate& update : updates)
      begun.push_back(Emitter(graph_, "reduce." + update.name)
                          .many("AllReduceStart", "tandem", {update.gradient}, 2, {{"bucket", "gradients." + update.name}}));
    for (size_t b = 0; b < updates.size(); ++b)
      updates[b].gradient = Emitter(graph_, "reduce." + updates[b].name).internal("AllReduceWait", {begun[b][0], begun[b][1]});
  }

  const StepConfig& config_;
  const Network& network_;
  const StepGraphs& layout_;
  Graph graph_;
  std::vector<ValueId> arenas_;      // the state of each bucket
  std::vector<ValueId> parameters_;  // the view of each parameter
  std::optional<LossScaling> scaling_;
};

}  // namespace

StepGraphs build_step(const Network& network, const StepConfig& config) {
  require(config.world_size >= 1 && config.accumulate >= 1, "ranks and micro-batches are at least 1", config.world_size,
          config.accumulate);
  StepGraphs graphs;
  for (const std::string& name : network.parameters) {
    const Value& value = network.graph.value(network.graph.find(name));
    require(value.kind == ValueKind::kConstant && value.type.dtype == DType::kF32,
            "a parameter must be an f32 constant of the graph", name);
    graphs.parameters.push_back({name, value.data.shape()});
  }
  graphs.buckets = assign_buckets(graphs.parameters, config.bucket_bytes);
  const auto training = [&](Position position) { return StepBuilder(network, config, graphs).training(position); };
  if (config.accumulate > 1) graphs.first = training(Position::kFirst);
  if (config.accumulate > 2) graphs.middle = training(Position::kMiddle);
  graphs.update = training(Position::kUpdate);
  graphs.evaluate = StepBuilder(network, config, graphs).evaluate();
  return graphs;
}

}  // namespace tandem
