#include "runtime/plan/winograd.h"

#include <algorithm>

#include "kernels/api/conv_winograd.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

// Kept beside the packed weights that it leads to. 0: direct.
struct Choice {
  int64_t tiles = 0;
  size_t bytes() const { return 0; }
};

bool all_ones(const std::vector<int64_t>& list) {
  return std::ranges::all_of(list, [](int64_t n) { return n == 1; });
}

bool may_be_winograd(const Graph& graph, const Node& node) {
  if (node.def->name != "ChannelsLastConv" || node.def->domain != "tandem") return false;
  const NodeContext context(node);
  const Value& w = graph.value(node.inputs[1]);
  return w.kind == ValueKind::kConstant && w.type.dims->size() == 4 && (*w.type.dims)[2].size == 3 && (*w.type.dims)[3].size == 3 &&
         context.get_int("group", 1) == 1 && all_ones(context.get_ints("strides")) && all_ones(context.get_ints("dilations"));
}

Choice fastest(const Plan& plan, const Node& node) {
  if (plan.is_dynamic(node.inputs[0]) || plan.is_dynamic(node.outputs[0])) return {};
  const Shape &x = plan.shapes[static_cast<size_t>(node.inputs[0])], &y = plan.shapes[static_cast<size_t>(node.outputs[0])];
  const auto tiles = cpu::fastest_winograd_tiles({.batch = y[0], .height = y[1], .width = y[2], .channels = x[3], .filters = y[3]});
  return {tiles ? static_cast<int64_t>(*tiles) : 0};
}

}  // namespace

void choose_winograd(Plan& plan) {
  for (Node& node : plan.graph.nodes) {
    if (!may_be_winograd(plan.graph, node)) continue;
    const std::string& weights = plan.graph.value(node.inputs[1]).name;
    const Choice choice = plan.packs->find_or_make<Choice>(weights, "Winograd tiles", [&] { return fastest(plan, node); });
    if (choice.tiles == 0) continue;
    node.def = &newest_op("WinogradConv", "tandem");
    node.attributes["tiles"] = choice.tiles;
  }
}

}  // namespace tandem
