#include "runtime/plan/traffic.h"

namespace tandem {

Traffic traffic_of(const Plan& plan) {
  Traffic traffic;
  for (const Step& step : plan.steps) {
    const Node& node = plan.graph.nodes[static_cast<size_t>(step.node)];
    const int64_t bytes =
        node.outputs.empty() || node.outputs[0] == kNoValue ? 0 : plan.buffers[static_cast<size_t>(node.outputs[0])].bytes;
    if (step.kind == StepKind::kFeed || step.kind == StepKind::kCopyToDevice) traffic.to_device += bytes;
    if (step.kind == StepKind::kCopyToHost) traffic.to_host += bytes;
    if (step.kind == StepKind::kHost || step.kind == StepKind::kDynamic) ++traffic.host_steps;
    if (step.kind == StepKind::kDevice) ++traffic.device_steps;
  }
  return traffic;
}

std::string_view side_name(StepKind kind) {
  switch (kind) {
    case StepKind::kView: return "view";
    case StepKind::kHost:
    case StepKind::kDynamic: return "cpu";
    case StepKind::kDevice: return "cuda";
    case StepKind::kFeed:
    case StepKind::kCopyToDevice: return "to gpu";
    case StepKind::kCopyToHost: return "to cpu";
  }
  return "-";
}

}  // namespace tandem
