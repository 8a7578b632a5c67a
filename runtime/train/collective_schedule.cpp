#include "runtime/train/collective_schedule.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

bool starts_early(const Node& node) {
  return node.def->domain == "tandem" && (node.def->name == "Pack" || node.def->name == "AllReduceStart");
}

}  // namespace

void schedule_collectives_early(Graph& graph) {
  const std::vector<int> producers = graph.producers();
  std::vector<int> slot(graph.nodes.size());  // the node behind which this one runs
  std::vector<int> bucket(
      graph.nodes.size());  // its Pack: several may be ready at once, and each starts its own collective first
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    slot[n] = bucket[n] = static_cast<int>(n);
    if (!starts_early(graph.nodes[n])) continue;
    slot[n] = -1;
    for (ValueId id : graph.nodes[n].inputs)
      if (id != kNoValue && producers[static_cast<size_t>(id)] >= 0) {
        const auto producer = static_cast<size_t>(producers[static_cast<size_t>(id)]);
        slot[n] = std::max(slot[n], slot[producer]);
        if (graph.nodes[n].def->name == "AllReduceStart") bucket[n] = bucket[producer];
      }
  }
  std::vector<size_t> order(graph.nodes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t n) { return std::tuple(slot[n], starts_early(graph.nodes[n]), bucket[n]); });
  std::vector<Node> nodes;
  nodes.reserve(order.size());
  for (size_t n : order) nodes.push_back(std::move(graph.nodes[n]));
  graph.nodes = std::move(nodes);
}

}  // namespace tandem
