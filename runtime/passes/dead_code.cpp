// Takes out nodes whose outputs nobody reads, from the last to the first. A node that replaces a state, or is stateful (a
// collective), acts by being run and stays.
#include <algorithm>

#include "runtime/graph/rewrite.h"
#include "runtime/graph/op_def.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

bool has_effect(const OpDef& def) {
  return def.stateful || std::ranges::any_of(def.aliases, [](const Alias& alias) { return alias.kind == AliasKind::kMust; });
}

int apply(Graph& graph, PassNotes&) {
  std::vector<bool> read(graph.values.size());
  for (ValueId id : graph.outputs) read[static_cast<size_t>(id)] = true;
  std::vector<bool> dead(graph.nodes.size());
  int removed = 0;
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    const auto is_read = [&](ValueId id) { return id != kNoValue && read[static_cast<size_t>(id)]; };
    if (!has_effect(*node.def) && std::ranges::none_of(node.outputs, is_read)) {
      dead[n] = true;
      ++removed;
      continue;
    }
    for (ValueId id : node.inputs)
      if (id != kNoValue) read[static_cast<size_t>(id)] = true;
  }
  erase_nodes(graph, dead);
  drop_unused_values(graph);
  return removed;
}

}  // namespace

const Pass dead_code_pass = {"dead_code", "take out nodes whose results nobody reads", apply};

}  // namespace tandem
