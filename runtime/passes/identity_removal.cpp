// Takes out nodes that give back an input (no_op.h): Identity, a Reshape to the same shape, x * 1; those that undo or repeat what the node
// before them did (Neg of Neg, Relu of Relu); of two Casts the first, if it lost nothing; an Expand whose reader broadcasts just so.
//
// A node that reads a state stays unless it is a mere view: its output is a copy, and the state may change before the copy is
// read.
#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/elementwise_nodes.h"
#include "runtime/passes/no_op.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/state_views.h"

namespace tandem {
namespace {

constexpr std::string_view kUndoThemselves[] = {"Neg", "Not", "BitwiseNot"};
constexpr std::string_view kRepeatNothing[] = {"Relu", "Abs", "Ceil", "Floor", "Round", "Sign"};

bool is_standard(const Node& node, std::string_view op) { return node.def->domain.empty() && node.def->name == op; }

// Every number of the first type is one of the second, and what becomes of it then does not depend on which of the two it comes from.
bool loses_nothing(DType from, DType through, DType to) {
  const auto is_plain_float = [](DType t) { return t == DType::kF16 || t == DType::kBF16 || t == DType::kF32 || t == DType::kF64; };
  if (from == DType::kBool) return is_integer(through) || is_plain_float(through);
  if (is_plain_float(from))
    return is_plain_float(through) && is_plain_float(to) && (from == through || (through != DType::kBF16 && size_of(through) > size_of(from)));
  const auto is_signed = [](DType t) { return t == DType::kI8 || t == DType::kI16 || t == DType::kI32 || t == DType::kI64; };
  return is_signed(from) && is_signed(through) && is_signed(to) && size_of(through) >= size_of(from);
}

class Removal {
 public:
  explicit Removal(Graph& graph)
      : graph_(graph), replacement_(graph), states_(graph), producers_(graph.producers()), removed_(graph.nodes.size()) {}

  int run() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      Node& node = graph_.nodes[n];
      states_.follow(node);
      skip_exact_cast(node);
      skip_expansions(node);
      ValueId source = given_back(graph_, node);
      if (source == kNoValue) source = undone(node);
      if (source == kNoValue || (states_.contains(source) && !is_view(*node.def)) || !replacement_.replace(node.outputs[0], source)) continue;
      removed_[n] = true;
      ++changes_;
    }
    replacement_.apply();
    erase_nodes(graph_, removed_);
    drop_unused_values(graph_);
    return changes_;
  }

 private:
  // The node that makes the first input, if it is one of this op.
  const Node* before(const Node& node, std::string_view op) const {
    if (node.inputs.empty() || node.inputs[0] == kNoValue) return nullptr;
    const int p = producers_[static_cast<size_t>(replacement_.current(node.inputs[0]))];
    const Node* maker = p < 0 ? nullptr : &graph_.nodes[static_cast<size_t>(p)];
    return maker != nullptr && is_standard(*maker, op) ? maker : nullptr;
  }

  ValueId undone(const Node& node) const {
    const Node* maker = node.def->domain.empty() ? before(node, node.def->name) : nullptr;
    if (maker == nullptr) return kNoValue;
    if (std::ranges::find(kUndoThemselves, node.def->name) != std::end(kUndoThemselves)) return maker->inputs[0];
    return std::ranges::find(kRepeatNothing, node.def->name) != std::end(kRepeatNothing) ? node.inputs[0] : kNoValue;
  }

  void skip_exact_cast(Node& node) {
    const Node* first = is_standard(node, "Cast") ? before(node, "Cast") : nullptr;
    if (first == nullptr || states_.contains(first->inputs[0])) return;
    const auto dtype = [&](ValueId id) { return graph_.value(id).type.dtype; };
    if (!loses_nothing(dtype(first->inputs[0]), dtype(first->outputs[0]), dtype(node.outputs[0]))) return;
    node.inputs[0] = first->inputs[0];
    ++changes_;
  }

  // Add(Expand(x), y) for a y of the expanded shape. PRelu and Clip broadcast one way only.
  void skip_expansions(Node& node) {
    const bool broadcasts = node.def->domain.empty() && is_elementwise(*node.def) && !is_standard(node, "PRelu") && !is_standard(node, "Clip");
    if (!broadcasts || node.inputs.size() < 2) return;
    for (ValueId& id : node.inputs) {
      const int p = id == kNoValue ? -1 : producers_[static_cast<size_t>(replacement_.current(id))];
      if (p < 0 || !is_standard(graph_.nodes[static_cast<size_t>(p)], "Expand")) continue;
      const ValueId source = graph_.nodes[static_cast<size_t>(p)].inputs[0];
      const bool other_has_shape = std::ranges::any_of(node.inputs, [&](ValueId other) {
        return other != id && other != kNoValue && same_dims(graph_.value(id).type, graph_.value(other).type);
      });
      if (!other_has_shape || states_.contains(source)) continue;
      id = source;
      ++changes_;
    }
  }

  Graph& graph_;
  ValueReplacement replacement_;
  StateViews states_;
  std::vector<int> producers_;
  std::vector<bool> removed_;
  int changes_ = 0;
};

int apply(Graph& graph, PassNotes&) { return Removal(graph).run(); }

}  // namespace

const Pass identity_removal_pass = {"identity_removal", "take out nodes that give back their input", apply};

}  // namespace tandem
