// Lets the products of a dense layer's backward step do what would else be passes over memory:
//
//   Gemm | MatMul, then ReluGrad | SigmoidGrad | TanhGrad | GeluGrad  ->  tandem.GemmGrad with a slope
//   Gemm | MatMul of dY, beside ReduceToShape(dY, bias)               ->  tandem.GemmGrad with sums
//
// The first is the gradient of the layer's input and of the activation before it, whose tensor in between must have no other
// reader. The second is the gradient of the weights, which reads dY as the bias's gradient does: the sums are made in the same
// product. dY may have leading axes, which the weights' product sees flattened. A node with a slope stands where the activation's
// gradient stood, one with sums where the product stood.
#include <algorithm>
#include <limits>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

bool is(const Node& node, std::string_view domain, std::string_view name) {
  return node.def->domain == domain && node.def->name == name;
}

// The slope's name in GemmGrad, or "" for another node.
std::string slope_of(const Node& node) {
  if (is(node, "tandem", "GeluGrad")) return NodeContext(node).get_string("approximate", "none") == "tanh" ? "GeluTanh" : "Gelu";
  for (std::string_view name : {"Relu", "Sigmoid", "Tanh"})
    if (node.def->domain == "tandem" && node.def->name == std::string(name) + "Grad") return std::string(name);
  return "";
}

class Fusion {
 public:
  explicit Fusion(Graph& graph)
      : graph_(graph),
        producers_(graph.producers()),
        uses_(count_uses(graph)),
        state_changes_(count_state_changes(graph)),
        readers_(graph.values.size()),
        removed_(graph.nodes.size()) {
    for (size_t n = 0; n < graph.nodes.size(); ++n)
      for (ValueId id : graph.nodes[n].inputs)
        if (id != kNoValue) readers_[static_cast<size_t>(id)].push_back(n);
  }

  // Sums first: a product that takes a slope moves.
  int run() {
    int changes = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) changes += is(graph_.nodes[n], "tandem", "ReduceToShape") && fuse_sums(n);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) changes += !slope_of(graph_.nodes[n]).empty() && fuse_slope(n);
    erase_nodes(graph_, removed_);
    drop_unused_values(graph_);
    return changes;
  }

 private:
  const std::optional<Dims>& dims(ValueId id) const { return graph_.value(id).type.dims; }
  size_t rank(ValueId id) const { return dims(id) ? dims(id)->size() : 0; }
  bool together(size_t a, size_t b) const { return state_changes_[a] == state_changes_[b]; }

  // A product that GemmGrad can make as well.
  bool is_product(const Node& node) const {
    const bool gemm = is(node, "", "Gemm") && !NodeContext(node).has_input(2);
    if (!gemm && !is(node, "", "MatMul") && !is(node, "tandem", "MatMul")) return false;
    const size_t rank_a = rank(node.inputs[0]);
    return rank(node.inputs[1]) == 2 && rank_a >= 2 && (rank_a == 2 || NodeContext(node).get_int("transA", 0) == 0);
  }

  // The same product as a GemmGrad.
  static Node as_grad(Node node) {
    node.def = &newest_op("GemmGrad", "tandem");
    node.attributes.erase("beta");
    return node;
  }

  bool fuse_slope(size_t n) {
    const Node& slope = graph_.nodes[n];
    const ValueId between = slope.inputs[1];
    const int p = producers_[static_cast<size_t>(between)];
    if (p < 0 || uses_[static_cast<size_t>(between)] != 1 || !together(static_cast<size_t>(p), n)) return false;
    const Node& product = graph_.nodes[static_cast<size_t>(p)];
    if (!is_product(product) || rank(slope.inputs[0]) != rank(between)) return false;
    Node fused = as_grad(product);
    fused.inputs.resize(2);
    fused.inputs.push_back(slope.inputs[0]);
    fused.attributes["slope"] = slope_of(slope);
    fused.outputs = slope.outputs;
    removed_[static_cast<size_t>(p)] = true;
    graph_.nodes[n] = std::move(fused);
    return true;
  }

  bool fuse_sums(size_t n) {
    const Node& sums = graph_.nodes[n];
    const ValueId dy = sums.inputs[0];
    const auto& bias = dims(sums.outputs[0]);
    if (!bias || bias->size() != 1 || rank(dy) < 2 || !(*bias)[0].known() || (*bias)[0] != dims(dy)->back()) return false;
    for (size_t reader : readers_[static_cast<size_t>(dy)]) {
      if (fuse_sums_into(reader, n, dy)) return true;
      const Node& node = graph_.nodes[reader];
      if (!is(node, "", "Reshape") || node.inputs[0] != dy) continue;
      for (size_t beyond : readers_[static_cast<size_t>(node.outputs[0])])
        if (fuse_sums_into(beyond, n, node.outputs[0])) return true;
    }
    return false;
  }

  // `stored`: dY as a matrix, whose rows product p sums over k.
  bool fuse_sums_into(size_t p, size_t n, ValueId stored) {
    const Node& product = graph_.nodes[p];
    if (removed_[p] || !is_product(product) || !together(p, n) || first_reader(n) < p) return false;
    const bool of_a = product.inputs[0] == stored && NodeContext(product).get_int("transA", 0) != 0,
               of_b = product.inputs[1] == stored && NodeContext(product).get_int("transB", 0) == 0;
    const ValueId bias = graph_.nodes[n].outputs[0];
    if (!(of_a || of_b) || rank(product.inputs[0]) != 2 || dims(stored)->back() != (*dims(bias))[0]) return false;
    Node fused = as_grad(product);
    fused.inputs.resize(2);
    fused.attributes["sums"] = std::string(of_a ? "A" : "B");
    fused.outputs.push_back(bias);
    removed_[n] = true;
    graph_.nodes[p] = std::move(fused);
    return true;
  }

  size_t first_reader(size_t n) const {
    const auto& readers = readers_[static_cast<size_t>(graph_.nodes[n].outputs[0])];
    return readers.empty() ? std::numeric_limits<size_t>::max() : readers.front();
  }

  Graph& graph_;
  std::vector<int> producers_;
  std::vector<int> uses_;
  std::vector<int> state_changes_;
  std::vector<std::vector<size_t>> readers_;  // by ValueId, in running order
  std::vector<bool> removed_;
};

int apply(Graph& graph, PassNotes&) { return Fusion(graph).run(); }

}  // namespace

const Pass gradient_fusion_pass = {"gradient_fusion",
                                   "make gradients of activations and biases inside the products of a backward step", apply};

}  // namespace tandem
