#include "runtime/plan/winograd.h"

#include <algorithm>

#include "kernels/api/conv_winograd.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/channels_last.h"
#include "runtime/ops/window_attributes.h"
#include "runtime/plan/conv_timing.h"

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

// Names of Tuning's answers.
constexpr std::string_view kDirect = "direct", kTwo = "Winograd, tiles of 2", kFour = "Winograd, tiles of 4";

// As the estimate, but measured.
Choice measured(const Plan& plan, const Node& node, const Shape& x, int64_t estimate) {
  const ConvGeometry conv =
      make_conv_geometry(channels_first(x), plan.shapes[static_cast<size_t>(node.inputs[1])], 1, WindowAttributes{NodeContext(node)}.options());
  const int threads = plan.options.threads;
  std::vector<std::pair<int64_t, Candidate>> ways;
  ways.emplace_back(0, conv_candidate(std::string(kDirect), {conv}, x[0], threads));
  ways.emplace_back(2, winograd_candidate(std::string(kTwo), conv, cpu::WinogradTiles::kTwo, x[0], threads));
  ways.emplace_back(4, winograd_candidate(std::string(kFour), conv, cpu::WinogradTiles::kFour, x[0], threads));
  std::ranges::stable_partition(ways, [&](const auto& way) { return way.first == estimate; });
  std::vector<Candidate> candidates;
  for (const auto& [tiles, candidate] : ways) candidates.push_back(candidate);
  const std::string fastest = plan.options.tuning->fastest(work_text({conv}, x[0], threads), candidates);
  return {std::ranges::find(ways, fastest, [](const auto& way) { return way.second.name; })->first};
}

Choice fastest(const Plan& plan, const Node& node) {
  if (plan.is_dynamic(node.inputs[0]) || plan.is_dynamic(node.outputs[0])) return {};
  const Shape &x = plan.shapes[static_cast<size_t>(node.inputs[0])], &y = plan.shapes[static_cast<size_t>(node.outputs[0])];
  const auto tiles = cpu::fastest_winograd_tiles({.batch = y[0], .height = y[1], .width = y[2], .channels = x[3], .filters = y[3]});
  const int64_t estimate = tiles ? static_cast<int64_t>(*tiles) : 0;
  return plan.options.tuning && y.elements() > 0 ? measured(plan, node, x, estimate) : Choice{estimate};
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
