#include "runtime/train/schedule.h"

#include <numbers>

#include "runtime/train/emitter.h"

namespace tandem {

ValueId append_schedule(Graph& graph, const ScheduleConfig& config, ValueId step) {
  Emitter emit(graph, "lr");
  const auto number = [&](double value) { return emit.scalar(static_cast<float>(value)); };
  const auto ratio = [&](ValueId a, double b) { return emit.op("Div", {a, number(b)}); };
  const ValueId now = emit.op("Cast", {step}, {{"to", static_cast<int64_t>(DType::kF32)}});
  ValueId factor = number(1);
  if (config.kind == ScheduleKind::kCosine) {
    require(config.total_steps > config.warmup_steps, "a cosine schedule must end after its warm-up (steps, warm-up)",
            config.total_steps, config.warmup_steps);
    const ValueId after = emit.op("Sub", {now, number(static_cast<double>(config.warmup_steps))});
    const ValueId t = ratio(after, static_cast<double>(config.total_steps - config.warmup_steps));
    const ValueId clipped = emit.op("Min", {emit.op("Max", {t, number(0)}), number(1)});
    const ValueId cosine = emit.op("Cos", {emit.op("Mul", {clipped, number(std::numbers::pi)})});
    const double half = (1.0 - config.final_fraction) / 2;
    factor = emit.op("Add", {emit.op("Mul", {cosine, number(half)}), number(config.final_fraction + half)});
  } else if (config.kind == ScheduleKind::kStep) {
    require(config.step_size > 0, "a step schedule needs a step size", config.step_size);
    const ValueId drops = emit.op("Floor", {ratio(now, static_cast<double>(config.step_size))});
    factor = emit.op("Pow", {number(config.gamma), drops});
  }
  if (config.warmup_steps > 0) {
    const ValueId warm = ratio(emit.op("Add", {now, number(1)}), static_cast<double>(config.warmup_steps));
    factor = emit.op("Mul", {factor, emit.op("Min", {warm, number(1)})});
  }
  return emit.op("Mul", {factor, number(config.learning_rate)});
}

}  // namespace tandem
