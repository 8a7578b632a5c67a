// Convolutions of images whose channels come last, where a plan for the CPU is faster with them: pixels are then rows of channels, which
// products read in place, and vectors run over channels whatever the size of the image.
//
// Each Conv by constant weights becomes Transpose, its channels-last form, Transpose, and so does each shuffle of channels; transpose_sinking
// then takes out the Transposes that meet, with pools and all that is elementwise between them computed in that layout. What is left stands
// where something knows no other order of axes. Convolutions that hang together in one layout are judged as a whole: if their Transposes cost
// more than the patches that a convolution with channels first copies, they stay as they were.
#include <algorithm>
#include <map>

#include "runtime/passes/channels_last_region.h"
#include "runtime/passes/channels_last_rewrite.h"
#include "runtime/passes/transpose_sinking.h"

namespace tandem {
namespace {

constexpr int kMostRounds = 5;  // in the last one what does not pay stays

void note_transposes(const Graph& graph, PassNotes& notes) {
  const std::vector<int> producers = graph.producers();
  const auto consumers = graph.consumers();
  for (const Node& node : graph.nodes) {
    if (!is_layout_change(graph, node)) continue;
    const auto& dims = graph.value(node.outputs[0]).type.dims;
    const auto order = permutation_of(node, dims->size());
    const int maker = producers[static_cast<size_t>(node.inputs[0])];
    const auto& readers = consumers[static_cast<size_t>(node.outputs[0])];
    const bool to_first = *order == order_to_channels_first(dims->size());
    const int other = to_first ? (readers.empty() ? -1 : readers[0]) : maker;
    const std::string what = other < 0 ? (to_first ? "an output" : "an input") + std::string(" of the graph")
                                       : std::string(graph.nodes[static_cast<size_t>(other)].def->name) + " '" +
                                             graph.nodes[static_cast<size_t>(other)].name + "'";
    notes.near_miss(graph, node, "this Transpose stays: " + what + (to_first ? " reads" : " gives") + " channels first");
  }
}

int apply(Graph& graph, PassNotes& notes) {
  if (std::ranges::any_of(graph.values, [](const Value& value) { return value.kind == ValueKind::kState; })) return 0;
  std::set<std::string> left_alone;  // names of results
  for (int round = 1; round <= kMostRounds; ++round) {
    Graph changed = graph;
    const int changes = write_channels_last(changed, left_alone);
    if (changes == 0) return 0;
    PassNotes unused;
    sink_transposes(changed, TransposedOps::kForHost, unused);
    const std::vector<std::string> costly = round < kMostRounds ? convolutions_that_do_not_pay(changed) : std::vector<std::string>();
    if (!costly.empty()) {
      left_alone.insert(costly.begin(), costly.end());
      continue;
    }
    for (const Node& node : graph.nodes)
      if (has_channels_last_form(graph, node) && left_alone.contains(result_name(graph, node)))
        notes.near_miss(graph, node, "stays with channels first: the Transposes around it would cost more than it gains");
    note_transposes(changed, notes);
    graph = std::move(changed);
    return changes;
  }
  return 0;
}

}  // namespace

const Pass layout_assignment_pass = {"layout_assignment", "convolutions on images with channels last, Transposes at the border", apply};

}  // namespace tandem
