#include "runtime/passes/attention_layout.h"

#include <numeric>

#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

// The attribute, or the axes as they are.
Permutation order_of(const Node& node, const std::string& attribute, size_t rank) {
  const std::vector<int64_t> given = NodeContext(node).get_ints(attribute);
  Permutation order(given.begin(), given.end());
  if (!given.empty()) return order;
  order.resize(rank);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<int64_t> as_attribute(const Permutation& order) { return {order.begin(), order.end()}; }

size_t rank_of(const Graph& graph, ValueId id) {
  const auto& dims = graph.value(id).type.dims;
  return dims ? dims->size() : 0;
}

bool is_transpose(const Node& node) { return node.def->domain.empty() && node.def->name == "Transpose"; }

// By node: the attention whose result, read by nobody else, it transposes and leaves the size of a head at the end; -1: none.
std::vector<int> attentions_before(const Graph& graph) {
  const std::vector<int> producers = graph.producers(), uses = count_uses(graph);
  std::vector<int> attentions(graph.nodes.size(), -1);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!is_transpose(node) || uses[static_cast<size_t>(node.inputs[0])] != 1) continue;
    const int p = producers[static_cast<size_t>(node.inputs[0])];
    const std::vector<int64_t> perm = NodeContext(node).get_ints("perm");
    if (p < 0 || !is_fused_attention(graph.nodes[static_cast<size_t>(p)]) || perm.empty()) continue;
    if (perm.back() + 1 == static_cast<int64_t>(perm.size())) attentions[n] = p;
  }
  return attentions;
}

}  // namespace

std::string operand_attribute(size_t operand) { return std::string(1, "qkv"[operand]) + "_perm"; }

std::optional<std::vector<int64_t>> operand_order(const Node& attention, size_t operand, const Permutation& order) {
  const Permutation own = order_of(attention, operand_attribute(operand), order.size());
  if (own.size() != order.size() || order.size() < 2) return std::nullopt;
  const Permutation both = composed(order, own);
  const int last = static_cast<int>(both.size()) - 1;
  const bool by_columns = operand == 1 && both[both.size() - 2] == last;
  return both.back() == last || by_columns ? std::optional(as_attribute(both)) : std::nullopt;
}

std::vector<bool> transposes_of_attention(const Graph& graph) {
  std::vector<bool> result;
  for (int attention : attentions_before(graph)) result.push_back(attention >= 0);
  return result;
}

void release_result_orders(Graph& graph) {
  const Permutation plain = {0, 2, 1, 3};  // its own inverse
  std::vector<Node> nodes;
  for (Node& node : graph.nodes) {
    const ValueId y = node.outputs.empty() ? kNoValue : node.outputs[0];
    const Permutation order = is_fused_attention(node) ? order_of(node, "y_perm", rank_of(graph, y)) : Permutation();
    if (order.size() != plain.size() || is_identity(order) || order == plain || order.back() != 3) {
      nodes.push_back(std::move(node));
      continue;
    }
    const Permutation rest = composed(plain, order);
    TensorType type = graph.value(y).type;
    type.dims = permuted(*type.dims, inverse(rest));
    const ValueId result = static_cast<ValueId>(graph.values.size());
    graph.values.push_back({graph.unique_name(graph.value(y).name), std::move(type), ValueKind::kResult, {}});
    node.outputs[0] = result;
    node.attributes["y_perm"] = as_attribute(plain);
    const std::string name = node.name;
    nodes.push_back(std::move(node));
    nodes.push_back({&newest_op("Transpose"), name, {result}, {y}, {{"perm", as_attribute(rest)}}});
  }
  graph.nodes = std::move(nodes);
}

int take_result_orders(Graph& graph) {
  const std::vector<int> attentions = attentions_before(graph);
  std::vector<bool> removed(graph.nodes.size());
  int changes = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (attentions[n] < 0) continue;
    Node& attention = graph.nodes[static_cast<size_t>(attentions[n])];
    const Permutation order = order_of(graph.nodes[n], "perm", 0);
    attention.attributes["y_perm"] = as_attribute(composed(order_of(attention, "y_perm", order.size()), order));
    attention.outputs[0] = graph.nodes[n].outputs[0];
    removed[n] = true;
    ++changes;
  }
  erase_nodes(graph, removed);
  drop_unused_values(graph);
  return changes;
}

}  // namespace tandem
