// The products of an attention that is written as Einsum become MatMuls, for attention_fusion to find:
//
//   Einsum("bihd,bjhd->bhij", q, k)  ->  MatMul(Transpose(q), Transpose(k))
//
// Two operands with one summed index, some that both keep, and one at least that only one has. Other Einsums stay: their kernel reads operands
// in any order of axes, where a MatMul wants copies that here go into the attention.
#include <algorithm>
#include <array>

#include "kernels/api/einsum.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/permutation.h"

namespace tandem {
namespace {

bool is(const Node& node, std::string_view op) { return node.def->domain.empty() && node.def->name == op; }
bool contains(const EinsumTerm& term, int index) { return std::ranges::find(term, index) != term.end(); }

// Indices of the product's operands and result, in the order of a MatMul.
struct ProductTerms {
  size_t left = 0;  // which operand comes first
  EinsumTerm a, b, y;
};

// Nothing if the equation is no product of matrices. `dims`: of both operands.
std::optional<ProductTerms> product_terms(const EinsumEquation& equation, const std::array<const Dims*, 2>& dims) {
  EinsumTerm common, summed;
  std::array<EinsumTerm, 2> own;  // in the order of the output
  for (size_t i = 0; i < 2; ++i) {
    const EinsumTerm &term = equation.inputs[i], &other = equation.inputs[1 - i];
    for (size_t at = 0; at < term.size(); ++at) {
      const int index = term[at];
      if (std::ranges::count(term, index) != 1) return std::nullopt;
      if (contains(equation.output, index)) continue;
      if (!contains(other, index)) return std::nullopt;
      const Dim &x = (*dims[i])[at], &y = (*dims[1 - i])[static_cast<size_t>(std::ranges::find(other, index) - other.begin())];
      if (x != y || x == Dim()) return std::nullopt;  // one of them may be 1
      if (i == 0) summed.push_back(index);
    }
  }
  for (int index : equation.output) {
    const bool first = contains(equation.inputs[0], index), second = contains(equation.inputs[1], index);
    if (first && second) common.push_back(index);
    else own[first ? 0 : 1].push_back(index);
  }
  if (summed.size() != 1 || common.empty() || own[0].empty() || own[1].empty()) return std::nullopt;
  const auto place = [&](int index) { return std::ranges::find(equation.output, index) - equation.output.begin(); };
  ProductTerms terms;
  terms.left = place(own[0].back()) < place(own[1].back()) ? 0 : 1;
  const int row = own[terms.left].back(), column = own[1 - terms.left].back();
  for (int index : equation.output)
    if (index != row && index != column) terms.y.push_back(index);
  // Axes that an operand lacks broadcast only in front of those it has.
  const auto batch_of = [&](size_t operand) {
    EinsumTerm batch;
    for (int index : terms.y)
      if (contains(equation.inputs[operand], index)) batch.push_back(index);
    return std::equal(batch.rbegin(), batch.rend(), terms.y.rbegin()) ? batch : EinsumTerm();
  };
  terms.a = batch_of(terms.left), terms.b = batch_of(1 - terms.left);
  if (terms.a.empty() || terms.b.empty()) return std::nullopt;
  terms.a.insert(terms.a.end(), {row, summed[0]}), terms.b.insert(terms.b.end(), {summed[0], column}), terms.y.insert(terms.y.end(), {row, column});
  return terms;
}

class Rewriting {
 public:
  explicit Rewriting(Graph& graph) : graph_(graph), of_weights_(graph.values.size()), to_weights_(graph.values.size()) { mark(); }

  int run() {
    int changes = 0;
    const std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (const Node& node : nodes) {
      const auto terms = is_in_attention(node) ? terms_of(node) : std::nullopt;
      if (terms) write(node, *terms);
      else graph_.nodes.push_back(node);
      changes += terms.has_value();
    }
    return changes;
  }

 private:
  // Which values lead to a Softmax or come from one, by ops that an attention has there.
  void mark() {
    constexpr std::array<std::string_view, 9> kBefore = {"Add", "Sub", "Mul", "Div", "Where", "Cast", "Reshape", "Max", "Tanh"};
    constexpr std::array<std::string_view, 3> kBehind = {"Cast", "Where", "Reshape"};
    const auto any = [](const std::vector<ValueId>& ids, const std::vector<bool>& marks) {
      return std::ranges::any_of(ids, [&](ValueId id) { return id != kNoValue && marks[static_cast<size_t>(id)]; });
    };
    const auto mark_all = [](const std::vector<ValueId>& ids, std::vector<bool>& marks) {
      for (ValueId id : ids)
        if (id != kNoValue) marks[static_cast<size_t>(id)] = true;
    };
    const auto is_one_of = [](const Node& node, const auto& names) {
      return node.def->domain.empty() && std::ranges::find(names, node.def->name) != names.end();
    };
    for (const Node& node : graph_.nodes)
      if (is(node, "Softmax") || (is_one_of(node, kBehind) && any(node.inputs, of_weights_))) mark_all(node.outputs, of_weights_);
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const Node& node = graph_.nodes[n];
      if (is(node, "Softmax") || (is_one_of(node, kBefore) && any(node.outputs, to_weights_))) mark_all(node.inputs, to_weights_);
    }
  }

  bool is_in_attention(const Node& node) const {
    if (!is(node, "Einsum") || node.inputs.size() != 2) return false;
    return to_weights_[static_cast<size_t>(node.outputs[0])] ||
           std::ranges::any_of(node.inputs, [&](ValueId id) { return of_weights_[static_cast<size_t>(id)]; });
  }

  std::optional<ProductTerms> terms_of(const Node& node) const {
    const TensorType &a = graph_.value(node.inputs[0]).type, &b = graph_.value(node.inputs[1]).type;
    if (!a.dims || !b.dims || !is_float(a.dtype)) return std::nullopt;
    const std::vector<int> ranks = {static_cast<int>(a.dims->size()), static_cast<int>(b.dims->size())};
    return product_terms(parse_einsum(NodeContext(node).get_string("equation", ""), ranks), {&*a.dims, &*b.dims});
  }

  // `x` with axes `from` in the order `to`.
  ValueId ordered(ValueId x, const EinsumTerm& from, const EinsumTerm& to, const std::string& name) {
    Permutation order;
    for (int index : to) order.push_back(static_cast<int>(std::ranges::find(from, index) - from.begin()));
    if (is_identity(order)) return x;
    return graph_.add_node(newest_op("Transpose"), {x}, 1, {{"perm", std::vector<int64_t>(order.begin(), order.end())}}, name)[0];
  }

  void write(const Node& node, const ProductTerms& terms) {
    const std::vector<int> ranks = {static_cast<int>(graph_.value(node.inputs[0]).type.dims->size()),
                                    static_cast<int>(graph_.value(node.inputs[1]).type.dims->size())};
    const EinsumEquation equation = parse_einsum(NodeContext(node).get_string("equation", ""), ranks);
    const size_t l = terms.left, r = 1 - l;
    const ValueId a = ordered(node.inputs[l], equation.inputs[l], terms.a, node.name), b = ordered(node.inputs[r], equation.inputs[r], terms.b, node.name);
    graph_.add_node(newest_op("MatMul"), {a, b}, 1, {}, node.name);
    if (terms.y != equation.output) ordered(graph_.nodes.back().outputs[0], terms.y, equation.output, node.name);
    graph_.nodes.back().outputs = node.outputs;
  }

  Graph& graph_;
  std::vector<bool> of_weights_, to_weights_;  // by value
};

int apply(Graph& graph, PassNotes&) {
  const int changes = Rewriting(graph).run();
  if (changes > 0) drop_unused_values(graph);
  return changes;
}

}  // namespace

const Pass einsum_products_pass = {"einsum_products", "the products of an attention written as Einsum become MatMuls", apply};

}  // namespace tandem
