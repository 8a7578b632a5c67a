// A chain of Reshape, Flatten, Squeeze and Unsqueeze becomes one Reshape, or none; a Reshape whose shape was computed (Shape, Gather, Concat)
// takes a constant one where inference knows the result (reshape_target.h).
#include <algorithm>
#include <span>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/no_op.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/reshape_target.h"

namespace tandem {
namespace {

bool is_reshape(const Node& node) {
  constexpr std::string_view kReshapes[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"};
  return node.def->domain.empty() && std::ranges::find(kReshapes, node.def->name) != std::end(kReshapes);
}

// One dimension that is not known, at the same place in both, is the same if there are as many elements.
bool equal_reshaped(const TensorType& from, const TensorType& to) {
  if (same_dims(from, to)) return true;
  return *from.dims == *to.dims && std::ranges::count(*from.dims, Dim()) == 1 &&
         std::ranges::all_of(*from.dims, [](const Dim& dim) { return dim == Dim() || dim.size > 0; });
}

class Simplification {
 public:
  explicit Simplification(Graph& graph)
      : graph_(graph), replacement_(graph), producers_(graph.producers()), removed_(graph.nodes.size()), node_count_(graph.nodes.size()) {}

  int run() {
    for (size_t n = 0; n < node_count_; ++n) {
      for (ValueId& id : graph_.nodes[n].inputs) id = replacement_.current(id);
      if (is_reshape(graph_.nodes[n])) changes_ += simplify(n);
    }
    replacement_.apply();
    erase_nodes(graph_, removed_);
    if (changes_ > 0) dead_code_pass.apply(graph_);  // what computed the shapes
    return changes_;
  }

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }

  bool simplify(size_t n) {
    const Node& node = graph_.nodes[n];
    const ValueId input = node.inputs[0], output = node.outputs[0];
    if (!type(output).dims || type(output).container != Container::kTensor) return false;
    const int p = producers_[static_cast<size_t>(input)];
    const ValueId before = p >= 0 && is_reshape(graph_.nodes[static_cast<size_t>(p)]) ? graph_.nodes[static_cast<size_t>(p)].inputs[0] : kNoValue;
    for (ValueId source : {before, input})
      if (source != kNoValue && type(source).dims && equal_reshaped(type(source), type(output)) &&
          replacement_.replace(output, source))
        return removed_[n] = true;
    if (before != kNoValue && type(before).dims)
      if (const auto joined = reshape_target(*type(before).dims, *type(output).dims)) return rewrite(n, before, *joined);
    if (node.def->name != "Reshape" || !NodeContext(node).has_input(1) || graph_.value(node.inputs[1]).kind == ValueKind::kConstant ||
        !type(input).dims)
      return false;
    const auto known = reshape_target(*type(input).dims, *type(output).dims);
    return known && rewrite(n, input, *known);
  }

  bool rewrite(size_t n, ValueId source, const ReshapeTarget& target) {
    const ValueId shape = graph_.add_constant("shape", Tensor::of<int64_t>({static_cast<int64_t>(target.shape.size())}, target.shape));
    producers_.push_back(-1);
    Node& node = graph_.nodes[n];
    node.def = &newest_op("Reshape");
    node.inputs = {source, shape};
    node.attributes.clear();
    if (target.keeps_zeros) node.attributes["allowzero"] = int64_t{1};
    return true;
  }

  Graph& graph_;
  ValueReplacement replacement_;
  std::vector<int> producers_;
  std::vector<bool> removed_;
  size_t node_count_;
  int changes_ = 0;
};

int apply(Graph& graph, PassNotes&) { return Simplification(graph).run(); }

}  // namespace

const Pass reshape_simplification_pass = {"reshape_simplification", "join chains of Reshape and its kin, give them constant shapes", apply};

}  // namespace tandem
