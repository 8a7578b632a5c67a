#include "runtime/train/optimizer.h"

#include "runtime/train/emitter.h"

namespace tandem {
namespace {

ValueId moment(Graph& graph, std::string name, ValueId parameters) {
  return graph.add_state(std::move(name), Tensor(DType::kF32, graph.value(parameters).data.shape()));
}

void append_sgd(Graph& graph, const OptimizerConfig& config, const BucketUpdate& bucket, const UpdateInputs& inputs) {
  const ValueId velocity = moment(graph, "sgd.momentum." + bucket.name, bucket.parameters);
  Emitter(graph, "sgd." + bucket.name)
      .many("Sgd", "tandem", {bucket.parameters, velocity, bucket.gradient, inputs.learning_rate, inputs.scale, inputs.apply}, 2,
            {{"momentum", config.momentum},
             {"nesterov", int64_t{config.nesterov}},
             {"weight_decay", bucket.decays ? config.weight_decay : 0.0f}});
}

void append_adam(Graph& graph, const OptimizerConfig& config, const BucketUpdate& bucket, const UpdateInputs& inputs) {
  const ValueId mean = moment(graph, "adam.m." + bucket.name, bucket.parameters);
  const ValueId square = moment(graph, "adam.v." + bucket.name, bucket.parameters);
  Emitter(graph, "adam." + bucket.name)
      .many("Adam", "tandem", {bucket.parameters, mean, square, bucket.gradient, inputs.learning_rate, inputs.step, inputs.scale, inputs.apply}, 3,
            {{"beta1", config.beta1},
             {"beta2", config.beta2},
             {"epsilon", config.epsilon},
             {"decoupled", int64_t{config.kind == OptimizerKind::kAdamW}},
             {"weight_decay", bucket.decays ? config.weight_decay : 0.0f}});
}

}  // namespace

ValueId append_sum_of_squares(Graph& graph, const std::vector<BucketUpdate>& buckets) {
  std::vector<ValueId> gradients;
  for (const BucketUpdate& bucket : buckets) gradients.push_back(bucket.gradient);
  return Emitter(graph, "gradients").internal("SumOfSquares", gradients);
}

ValueId append_optimizer(Graph& graph, const OptimizerConfig& config, const std::vector<BucketUpdate>& buckets,
                         const UpdateInputs& given) {
  Emitter emit(graph, "clip");
  UpdateInputs inputs = given;
  ValueId norm = kNoValue;
  if (config.clip_norm > 0) {
    const ValueId squares = inputs.sum_of_squares == kNoValue ? append_sum_of_squares(graph, buckets) : inputs.sum_of_squares;
    norm = emit.op("Mul", {emit.op("Sqrt", {squares}), inputs.scale});
    const ValueId room = emit.op("Div", {emit.scalar(config.clip_norm), emit.op("Add", {norm, emit.scalar(1e-6f)})});
    inputs.scale = emit.op("Mul", {inputs.scale, emit.op("Min", {room, emit.scalar(1.0f)})});
  }
  for (const BucketUpdate& bucket : buckets) {
    if (config.kind == OptimizerKind::kSgd)
      append_sgd(graph, config, bucket, inputs);
    else
      append_adam(graph, config, bucket, inputs);
  }
  return norm;
}

}  // namespace tandem
