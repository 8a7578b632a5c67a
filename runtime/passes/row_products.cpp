// A product of rows that an exporter flattened for Gemm and put back is one of the tensor as it was:
//
//   Reshape(Gemm(Reshape(x, [rows, k]), W, c), [batch, words, n])  ->  Add(MatMul(x, W), c)      PyTorch's Conv1D, attention modules, linear
//
// Reshapes cost nothing, but what follows a Gemm's rows is no residual of the same shape and no activation: these reach the product's epilogue
// now, and Transposes pass it.
#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"
#include "runtime/passes/reshape_target.h"

namespace tandem {
namespace {

bool is_reshape(const Node* node) { return node && (PatternGraph::is(*node, "Reshape") || PatternGraph::is(*node, "Flatten")); }

class Rewriting {
 public:
  explicit Rewriting(Graph& graph) : pattern_(graph) {}

  int run() {
    int changes = 0;
    const size_t count = pattern_.graph().nodes.size();
    for (size_t n = 0; n < count; ++n)
      if (PatternGraph::is(pattern_.graph().nodes[n], "Reshape")) changes += rewrite(n);
    pattern_.finish();
    return changes;
  }

 private:
  const Value& value(ValueId id) const { return pattern_.graph().value(id); }

  // Constant weights, factors of 1, and one number a column, if anything, to be added.
  bool is_plain(const Node& gemm) const {
    const NodeContext context(gemm);
    const Value& weights = value(gemm.inputs[1]);
    if (weights.kind != ValueKind::kConstant || weights.data.shape().rank() != 2) return false;
    if (context.get_float("alpha", 1) != 1 || context.get_int("transA", 0) != 0) return false;
    if (!context.has_input(2)) return true;
    const Value& row = value(gemm.inputs[2]);
    const int64_t columns = weights.data.shape()[context.get_int("transB", 0) != 0 ? 0 : 1];
    return context.get_float("beta", 1) == 1 && row.kind == ValueKind::kConstant && row.data.shape() == Shape{columns};
  }

  // The shape of y but for its last axis, which has k elements; nothing if y has other rows than the Gemm.
  std::optional<Dims> rows_of(const Node& gemm, ValueId y) const {
    const auto& dims = pattern_.type(y).dims;
    if (!dims || dims->size() < 3) return std::nullopt;
    const Shape& weights = value(gemm.inputs[1]).data.shape();
    const bool transposed = NodeContext(gemm).get_int("transB", 0) != 0;
    if (dims->back() != Dim(weights[transposed ? 0 : 1]) || weights.elements() == 0) return std::nullopt;
    Dims rows = *dims;
    rows.back() = Dim(weights[transposed ? 1 : 0]);
    return rows;
  }

  bool rewrite(size_t anchor) {
    const Node* found = pattern_.maker(pattern_.graph().nodes[anchor].inputs[0], "Gemm");
    const Node* flat = found ? pattern_.maker(found->inputs[0]) : nullptr;
    if (!is_reshape(flat) || !is_plain(*found)) return false;
    const Node gemm = *found;
    const ValueId x = flat->inputs[0];
    const auto rows = rows_of(gemm, pattern_.graph().nodes[anchor].outputs[0]);
    if (!rows || !pattern_.type(x).dims) return false;
    const bool same = *pattern_.type(x).dims == *rows && pattern_.same_shape(x, x) && std::ranges::find(*rows, Dim()) == rows->end();
    const auto target = same ? std::nullopt : reshape_target(*pattern_.type(x).dims, *rows);
    if (!same && !target) return false;
    std::vector<ValueId> leaves = gemm.inputs;
    leaves.insert(leaves.end(), pattern_.graph().nodes[anchor].inputs.begin() + 1, pattern_.graph().nodes[anchor].inputs.end());
    const Cut cut = pattern_.cut(anchor, leaves);
    if (!cut) return false;
    put(anchor, cut, gemm, same ? x : reshaped(anchor, x, *target));
    return true;
  }

  ValueId reshaped(size_t anchor, ValueId x, const ReshapeTarget& target) {
    const ValueId shape = pattern_.add_constant("shape", Tensor::of<int64_t>({static_cast<int64_t>(target.shape.size())}, target.shape));
    Attributes attributes;
    if (target.keeps_zeros) attributes["allowzero"] = int64_t{1};
    return pattern_.emit_before(anchor, newest_op("Reshape"), {x, shape}, std::move(attributes));
  }

  void put(size_t anchor, const Cut& cut, const Node& gemm, ValueId x) {
    const bool transposed = NodeContext(gemm).get_int("transB", 0) != 0;
    Node product{.def = &newest_op("MatMul", transposed ? "tandem" : ""), .name = gemm.name, .inputs = {x, gemm.inputs[1]}, .outputs = {}, .attributes = {}};
    if (transposed) product.attributes["transB"] = int64_t{1};
    if (NodeContext(gemm).has_input(2)) {
      const ValueId sum = pattern_.emit_before(anchor, *product.def, product.inputs, product.attributes);
      product = {.def = &newest_op("Add"), .name = gemm.name, .inputs = {sum, gemm.inputs[2]}, .outputs = {}, .attributes = {}};
    }
    pattern_.replace(anchor, cut, std::move(product));
  }

  PatternGraph pattern_;
};

int apply(Graph& graph, PassNotes&) {
  const int changes = Rewriting(graph).run();
  if (changes > 0) dead_code_pass.apply(graph);  // the flattened rows
  return changes;
}

}  // namespace

const Pass row_products_pass = {"row_products", "multiply rows where they stand, not flattened for a Gemm", apply};

}  // namespace tandem
