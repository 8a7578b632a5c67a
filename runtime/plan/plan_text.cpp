#include <fmt/format.h>

#include "runtime/plan/plan.h"
#include "runtime/plan/traffic.h"

namespace tandem {
namespace {

std::string_view place_name(Placement placement) {
  switch (placement) {
    case Placement::kNone: return "-";
    case Placement::kInput: return "input";
    case Placement::kConstant: return "constant";
    case Placement::kState: return "state";
    case Placement::kArena: return "arena";
    case Placement::kFeed: return "feed";
    case Placement::kDynamic: return "dynamic";
  }
  return "-";
}

std::string memory_text(const MemoryPlan& memory, std::string_view where) {
  const auto share = memory.lower_bound ? 100.0 * static_cast<double>(memory.arena) / static_cast<double>(memory.lower_bound) : 100.0;
  std::string text = fmt::format("arena{}      {:>14} bytes ({:.1f}% of the {} that are alive at once)\n", where, memory.arena, share,
                                 memory.lower_bound);
  if (memory.scratch) text += fmt::format("  scratch{}  {:>14} bytes of the arena, at most\n", where, memory.scratch);
  if (memory.workspace) text += fmt::format("workspace{}  {:>14} bytes\n", where, memory.workspace);
  text += fmt::format("constants{0}  {1:>14} bytes\nstates{0}     {2:>14} bytes\n", where, memory.constants, memory.states);
  if (memory.feeds) text += fmt::format("feeds{}      {:>14} bytes, twice\n", where, memory.feeds);
  return text + fmt::format("peak bytes{} {:>14}\n", where, memory.total());
}

std::string traffic_text(const Plan& plan) {
  const Traffic traffic = traffic_of(plan);
  std::string text = fmt::format("{} steps on the GPU, {} on the CPU; copied in one run: {} bytes to the GPU, {} bytes back\n",
                                 traffic.device_steps, traffic.host_steps, traffic.to_device, traffic.to_host);
  for (const std::string& name : plan.placement.without_twin) text += fmt::format("on the CPU for want of a CUDA kernel: {}\n", name);
  return text;
}

}  // namespace

std::string to_text(const Plan& plan) {
  std::string text = fmt::format("plan of {}: {} steps, {} threads", plan.graph.name, plan.steps.size(), plan.options.threads);
  for (const auto& [symbol, bound] : plan.bounds) text += fmt::format(", {} <= {}", symbol, bound);
  text += fmt::format("\n{:>5}  {:<6} {:<28} {:<40} {:>12} {:>9} {:>12} {:>11} {:>10}\n", "step", "on", "op", "output", "bytes", "where", "offset",
                      "alive", "scratch");
  for (size_t n = 0; n < plan.steps.size(); ++n) {
    const Node& node = plan.graph.nodes[n];
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const BufferPlan& buffer = plan.buffers[static_cast<size_t>(id)];
      const std::string op = (node.def->domain.empty() ? "" : std::string(node.def->domain) + ".") + std::string(node.def->name);
      text += fmt::format("{:>5}  {:<6} {:<28} {:<40} {:>12} {:>9} {:>12} {:>5}-{:<5} {:>10}\n", n, side_name(plan.steps[n].kind), op,
                          plan.graph.value(id).name + " " + to_string(plan.shapes[static_cast<size_t>(id)]), buffer.bytes,
                          place_name(buffer.placement), buffer.offset, buffer.first, buffer.last, plan.steps[n].kernel.workspace);
    }
  }
  if (!plan.on_device()) return text + memory_text(plan.host, "");
  return text + traffic_text(plan) + "GPU\n" + memory_text(plan.device, "") + "host, pinned\n" + memory_text(plan.host, "");
}

}  // namespace tandem
