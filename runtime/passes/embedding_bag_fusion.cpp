// Rows that are gathered to be summed are summed as they are read:
//
//   ReduceSum | ReduceMean | ReduceMax (Gather(table, indices), one axis of indices)  ->  tandem.EmbeddingBag(table, indices)
//   ReduceSum (Mul(Gather(table, indices), weights), one axis of indices)             ->  tandem.EmbeddingBag(table, indices, weights)
//
// as nn.Embedding with a mean, a sum or a mask is exported; weights are one for each row, [indices..., 1]. On plans for the CPU, of f32; in training
// before gradients are made, so that these need no gathered rows either.
#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

// "" for another op.
std::string mode_of(const Node& node) {
  if (PatternGraph::is(node, "ReduceSum")) return "sum";
  if (PatternGraph::is(node, "ReduceMean")) return "mean";
  return PatternGraph::is(node, "ReduceMax") ? "max" : "";
}

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : pattern_(graph), notes_(notes) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < pattern_.graph().nodes.size(); ++n)
      if (const std::string mode = mode_of(pattern_.graph().nodes[n]); !mode.empty()) changes += fuse(n, mode);
    pattern_.finish();
    return changes;
  }

 private:
  // The only axis that is reduced.
  std::optional<int64_t> reduced_axis(const Node& reduction) const {
    const NodeContext context(reduction);
    const auto axes = context.has_input(1) ? pattern_.integers(reduction.inputs[1]) : context.get_ints("axes");
    if (!axes || axes->size() != 1) return std::nullopt;
    const int64_t axis = (*axes)[0];
    return axis < 0 ? axis + static_cast<int64_t>(pattern_.rank(reduction.inputs[0])) : axis;
  }

  // A Gather of rows of a table.
  const Node* gather_of(ValueId id) const {
    const Node* gather = pattern_.maker(id, "Gather");
    if (!gather || pattern_.rank(gather->inputs[0]) != 2 || pattern_.rank(gather->inputs[1]) == 0) return nullptr;
    const int64_t axis = NodeContext(*gather).get_int("axis", 0);
    return axis == 0 || axis == -2 ? gather : nullptr;
  }

  // Whether these are one number for each index.
  bool weighs(ValueId weights, ValueId indices) const {
    const auto &own = pattern_.type(weights).dims, &wanted = pattern_.type(indices).dims;
    if (!own || own->size() != wanted->size() + 1 || own->back().size != 1) return false;
    for (size_t a = 0; a < wanted->size(); ++a)
      if ((*own)[a] != (*wanted)[a] || (*own)[a] == Dim()) return false;
    return true;
  }

  bool fuse(size_t n, const std::string& mode) {
    const Node& reduction = pattern_.graph().nodes[n];
    const Node* gather = gather_of(reduction.inputs[0]);
    ValueId weights = kNoValue;
    const Node* product = mode == "sum" ? pattern_.maker(reduction.inputs[0], "Mul") : nullptr;
    for (size_t i = 0; product && !gather && i < 2; ++i) {
      gather = gather_of(product->inputs[i]);
      weights = product->inputs[1 - i];
    }
    if (!gather || pattern_.type(gather->inputs[0]).dtype != DType::kF32) return false;
    const ValueId table = gather->inputs[0], indices = gather->inputs[1];
    const auto axis = reduced_axis(reduction);
    if (!axis || *axis < 0 || *axis >= static_cast<int64_t>(pattern_.rank(indices))) return false;
    Cut cut;
    if (weights == kNoValue || weighs(weights, indices)) cut = pattern_.cut(n, {table, indices, weights});
    else cut.obstacle = "it is not certain that there is one weight for each row";
    if (!cut) {
      notes_.near_miss(pattern_.graph(), reduction, "bag of rows: " + cut.obstacle);
      return false;
    }
    std::vector<ValueId> inputs = {table, indices};
    if (weights != kNoValue) inputs.push_back(weights);
    const Attributes attributes = {{"mode", mode}, {"axis", *axis}, {"keepdims", NodeContext(reduction).get_int("keepdims", 1)}};
    pattern_.replace(n, cut, {.def = &newest_op("EmbeddingBag", "tandem"), .name = "", .inputs = std::move(inputs), .outputs = {}, .attributes = attributes});
    return true;
  }

  PatternGraph pattern_;
  PassNotes& notes_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass embedding_bag_fusion_pass = {"embedding_bag_fusion", "sum gathered rows of a table as they are read", apply};

}  // namespace tandem
