#include "runtime/exec/segments.h"

#include <algorithm>
#include <span>

namespace tandem {
namespace {

bool on_device(const Step& step) { return step.kind != StepKind::kHost && step.kind != StepKind::kDynamic; }
bool is_nothing(const Step& step) { return step.kind == StepKind::kView || step.kind == StepKind::kFeed; }

// Whether the step reads something on the host, when it is launched, that depends on data; or copies from memory that is not ours to keep.
bool differs_from_run_to_run(const Plan& plan, const Step& step, std::span<const int> producers) {
  const Graph& graph = plan.graph;
  const Node& node = graph.nodes[static_cast<size_t>(step.node)];
  if (step.kind == StepKind::kCopyToDevice) return plan.buffers[static_cast<size_t>(node.inputs[0])].placement != Placement::kArena;
  const auto depends_on_data = [&](const auto& self, ValueId id) -> bool {
    const ValueKind kind = graph.value(id).kind;
    if (kind != ValueKind::kResult) return kind != ValueKind::kConstant;
    const Node& maker = graph.nodes[static_cast<size_t>(producers[static_cast<size_t>(id)])];
    for (size_t i = 0; i < maker.inputs.size(); ++i)
      if (maker.inputs[i] != kNoValue && !(maker.def->shape_inputs >> i & 1) && self(self, maker.inputs[i])) return true;
    return false;
  };
  for (size_t i = 0; i < node.inputs.size() && step.kind == StepKind::kDevice; ++i)
    if ((node.def->host_inputs >> i & 1) && node.inputs[i] != kNoValue && depends_on_data(depends_on_data, node.inputs[i])) return true;
  return false;
}

}  // namespace

std::vector<Segment> find_segments(const Plan& plan) {
  const std::vector<int> producers = plan.graph.producers();
  std::vector<Segment> segments;
  bool apart = false;  // the step before stands alone
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    if (is_nothing(step)) continue;
    const bool differs = on_device(step) && differs_from_run_to_run(plan, step, producers);
    if (segments.empty() || segments.back().on_device != on_device(step) || differs || apart)
      segments.push_back({s, s, on_device(step), !differs});
    segments.back().last = s + 1;
    apart = differs;
  }
  return segments;
}

bool has_device_collectives(const Plan& plan) {
  return std::ranges::any_of(plan.steps, [&](const Step& step) {
    return !is_nothing(step) && on_device(step) && plan.graph.nodes[static_cast<size_t>(step.node)].def->stateful;
  });
}

}  // namespace tandem
