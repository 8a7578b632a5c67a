// MatMul(x, Transpose(w)) reads w as it lies: tandem.MatMul(x, w) {transB=1}, for a Transpose of the last two axes of either operand.
//
// PyTorch's linear layers over words are exported so. For training: their weights change, so that no Transpose of them can be folded, and the
// gradient of this form needs none either. Elsewhere constant folding and the fusions of attention do more.
#include <numeric>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/training_passes.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

bool swaps_last_two(const Node& transpose, size_t rank) {
  if (rank < 2) return false;
  std::vector<int64_t> perm(rank);
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::swap(perm[rank - 2], perm[rank - 1]);
  const std::vector<int64_t> given = NodeContext(transpose).get_ints("perm");
  return given == perm || (given.empty() && rank == 2);  // without it all axes are reversed
}

int apply(Graph& graph, PassNotes& notes) {
  PatternGraph pattern(graph);
  int changes = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!PatternGraph::is(graph.nodes[n], "MatMul")) continue;
    Node product = graph.nodes[n];
    for (size_t side : {0u, 1u}) {
      const Node* transpose = pattern.maker(product.inputs[side], "Transpose");
      if (!transpose || !swaps_last_two(*transpose, pattern.rank(product.inputs[side]))) continue;
      product.inputs[side] = transpose->inputs[0];
      product.attributes[side == 0 ? "transA" : "transB"] = int64_t{1};
    }
    if (product.attributes.empty() || product.inputs[0] == product.inputs[1]) continue;
    const Cut cut = pattern.cut(n, product.inputs);
    if (!cut) {
      notes.near_miss(graph, graph.nodes[n], cut.obstacle);
      continue;
    }
    product.def = &newest_op("MatMul", "tandem");
    pattern.replace(n, cut, std::move(product));
    ++changes;
  }
  pattern.finish();
  return changes;
}

}  // namespace

const Pass transposed_products_pass = {"transposed_products", "let MatMul read an operand transposed instead of after a Transpose", apply};

}  // namespace tandem
