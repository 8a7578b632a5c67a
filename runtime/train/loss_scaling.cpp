#include "runtime/train/loss_scaling.h"

#include <limits>

#include "runtime/train/emitter.h"

namespace tandem {

LossScaling::LossScaling(Graph& graph)
    : graph_(graph),
      scale_(graph.add_state("loss_scale", Tensor::scalar<float>(kInitialScale))),
      good_steps_(graph.add_state("loss_scale.good_steps", Tensor::scalar<int64_t>(0))) {}

ValueId LossScaling::append_check(ValueId sum_of_squares) {
  Emitter emit(graph_, "loss_scale");
  return emit.op("Less", {sum_of_squares, emit.scalar(std::numeric_limits<float>::max())});  // false for infinity and NaN
}

void LossScaling::append_update(ValueId finite) {
  Emitter emit(graph_, "loss_scale");
  const ValueId good = emit.op("Where", {finite, emit.op("Add", {good_steps_, emit.scalar(int64_t{1})}), emit.scalar(int64_t{0})});
  const ValueId grows = emit.op("GreaterOrEqual", {good, emit.scalar(kGrowthInterval)});
  const ValueId grown = emit.op("Min", {emit.op("Mul", {scale_, emit.scalar(2.0f)}), emit.scalar(kMostScale)});
  const ValueId kept = emit.op("Where", {grows, grown, scale_});
  const ValueId halved = emit.op("Max", {emit.op("Mul", {scale_, emit.scalar(0.5f)}), emit.scalar(1.0f)});
  emit.internal("Assign", {good_steps_, emit.op("Where", {grows, emit.scalar(int64_t{0}), good})});
  emit.internal("Assign", {scale_, emit.op("Where", {finite, kept, halved})});
}

}  // namespace tandem
