// Takes out nodes that give back their input: Identity, Dropout outside of training, a Cast to the same type, a Reshape (and its
// kin) to the same shape, a Transpose that moves nothing.
//
// A node that reads a state stays unless it is a mere view: its output is a copy, and the state may change before the copy is
// read.
#include <algorithm>

#include "runtime/graph/rewrite.h"
#include "runtime/graph/contexts.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

constexpr std::string_view kReshapes[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand"};

// The same dimensions for sure: two unknown ones may differ.
bool same_dims(const TensorType& a, const TensorType& b) {
  return a.dims && b.dims && *a.dims == *b.dims &&
         std::ranges::all_of(*a.dims, [](const Dim& dim) { return dim.known() || !dim.symbol.empty(); });
}

bool is_training(const Graph& graph, const NodeContext& node) {
  if (!node.has_input(2)) return false;
  const Value& mode = graph.value(node.node().inputs[2]);
  return mode.kind != ValueKind::kConstant || mode.data.dtype() != DType::kBool || mode.data.elements() != 1 ||
         mode.data.as<bool>()[0];
}

bool moves_nothing(const NodeContext& node, const TensorType& input) {
  const std::vector<int64_t> perm = node.get_ints("perm");
  if (perm.empty()) return input.dims && input.dims->size() <= 1;  // the default reverses the axes
  for (size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != static_cast<int64_t>(i)) return false;
  return true;
}

bool gives_back_its_input(const Graph& graph, const Node& node) {
  const NodeContext context(node);
  if (!node.def->domain.empty() || !context.has_input(0) || !context.has_output(0)) return false;
  for (int i = 1; i < context.outputs(); ++i)
    if (context.has_output(i)) return false;
  const TensorType &from = graph.value(node.inputs[0]).type, &to = graph.value(node.outputs[0]).type;
  const std::string_view op = node.def->name;
  if (op == "Identity") return true;
  if (op == "Dropout") return !is_training(graph, context);
  if (op == "Cast") return from.dtype == to.dtype;
  if (op == "Transpose") return moves_nothing(context, from);
  return std::ranges::find(kReshapes, op) != std::end(kReshapes) && same_dims(from, to);
}

bool is_view(const OpDef& def) {
  return std::ranges::any_of(def.aliases,
                             [](const Alias& a) { return a.kind == AliasKind::kView && a.input == 0 && a.output == 0; });
}

// Marks what shares the memory of a state: the states themselves and views of them.
class StateViews {
 public:
  explicit StateViews(const Graph& graph) : is_state_(graph.values.size()) {
    for (size_t v = 0; v < graph.values.size(); ++v) is_state_[v] = graph.values[v].kind == ValueKind::kState;
  }
  bool contains(ValueId id) const { return is_state_[static_cast<size_t>(id)]; }
  void follow(const Node& node) {
    if (is_view(*node.def) && node.inputs[0] != kNoValue && node.outputs[0] != kNoValue && contains(node.inputs[0]))
      is_state_[static_cast<size_t>(node.outputs[0])] = true;
  }

 private:
  std::vector<bool> is_state_;
};

int apply(Graph& graph, PassNotes&) {
  ValueReplacement replacement(graph);
  StateViews states(graph);
  std::vector<bool> removed(graph.nodes.size());
  int changes = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    states.follow(node);
    if (!gives_back_its_input(graph, node) || (states.contains(node.inputs[0]) && !is_view(*node.def))) continue;
    if (!replacement.replace(node.outputs[0], node.inputs[0])) continue;
    removed[n] = true;
    ++changes;
  }
  replacement.apply();
  erase_nodes(graph, removed);
  drop_unused_values(graph);
  return changes;
}

}  // namespace

const Pass identity_removal_pass = {"identity_removal", "take out nodes that give back their input", apply};

}  // namespace tandem
