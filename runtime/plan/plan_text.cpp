#include <fmt/format.h>

#include "runtime/plan/plan.h"

namespace tandem {
namespace {

std::string_view place_name(Placement placement) {
  switch (placement) {
    case Placement::kNone: return "-";
    case Placement::kInput: return "input";
    case Placement::kConstant: return "constant";
    case Placement::kState: return "state";
    case Placement::kArena: return "arena";
  }
  return "-";
}

}  // namespace

std::string to_text(const Plan& plan) {
  std::string text = fmt::format("plan of {}: {} steps, {} threads", plan.graph.name, plan.steps.size(), plan.options.threads);
  for (const auto& [symbol, bound] : plan.bounds) text += fmt::format(", {} <= {}", symbol, bound);
  text += fmt::format("\n{:>5}  {:<28} {:<40} {:>12} {:>9} {:>12} {:>11}\n", "step", "op", "output", "bytes", "where", "offset",
                      "alive");
  for (size_t n = 0; n < plan.steps.size(); ++n) {
    const Node& node = plan.graph.nodes[n];
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const BufferPlan& buffer = plan.buffers[static_cast<size_t>(id)];
      const std::string op = (node.def->domain.empty() ? "" : std::string(node.def->domain) + ".") + std::string(node.def->name);
      text += fmt::format("{:>5}  {:<28} {:<40} {:>12} {:>9} {:>12} {:>5}-{:<5}\n", n, op,
                          plan.graph.value(id).name + " " + to_string(plan.shapes[static_cast<size_t>(id)]), buffer.bytes,
                          place_name(buffer.placement), buffer.offset, buffer.first, buffer.last);
    }
  }
  const auto share = plan.lower_bound_bytes
                         ? 100.0 * static_cast<double>(plan.arena_bytes) / static_cast<double>(plan.lower_bound_bytes)
                         : 100.0;
  text += fmt::format("arena      {:>14} bytes ({:.1f}% of the {} that are alive at once)\n", plan.arena_bytes, share,
                      plan.lower_bound_bytes);
  text += fmt::format("workspace  {:>14} bytes\nconstants  {:>14} bytes\nstates     {:>14} bytes\npeak bytes {:>14}\n",
                      plan.workspace_bytes, plan.constant_bytes, plan.state_bytes, plan.peak_bytes());
  return text;
}

}  // namespace tandem
