// What a fusion asks of a graph, and how it puts one node in the place of many. A fusion reads from an anchor, the last node of its
// pattern, back to the pattern's inputs by pure questions; cut() then collects what lies between and says what is in the way.
//
//   const Node* erf = pattern.maker(x, "Erf");                    // who made this value
//   const auto scaled = pattern.times_number(erf->inputs[0]);     // Mul by a number from either side, or Div by one
//   const Cut cut = pattern.cut(anchor, {scaled->value});
//   if (cut) pattern.replace(anchor, cut, fused); else notes.near_miss(graph, graph.nodes[anchor], cut.obstacle);
//
// All of it takes time O(n) for n nodes, if a pass asks a bounded number of questions an anchor.
#pragma once

#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// The nodes that a fusion takes out beside its anchor, or why it may not.
struct Cut {
  std::vector<size_t> inner;
  std::string obstacle;  // empty: none
  explicit operator bool() const { return obstacle.empty(); }
};

// A value times a number.
struct Scaled {
  ValueId value = kNoValue;
  double factor = 1;
};

// number * factor * factor * ...
struct Product {
  double number = 1;
  std::vector<ValueId> factors;
};

// min(max(value, low), high); an infinity bounds nothing.
struct Bounded {
  ValueId value = kNoValue;
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};

// Whether a constant is the number that a formula says, as nearly as exporters write it and the type holds it.
bool is_close(double is, double wanted, DType dtype);

class PatternGraph {
 public:
  explicit PatternGraph(Graph& graph);

  const Graph& graph() const { return graph_; }
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }

  // The node that makes `id`; null if none does, or one of another op.
  const Node* maker(ValueId id) const;
  const Node* maker(ValueId id, std::string_view op, std::string_view domain = "") const;
  // Whether the op is this one of ONNX.
  static bool is(const Node& node, std::string_view op, std::string_view domain = "");

  // The only element of a constant of floats or integers, of any rank.
  std::optional<double> number(ValueId id) const;
  // Whether it is this number: is_close.
  bool is_number(ValueId id, double wanted) const;
  // The elements of a constant of integers.
  std::optional<std::vector<int64_t>> integers(ValueId id) const;
  // The dimensions agree for certain: numbers, or the same symbols.
  bool same_shape(ValueId a, ValueId b) const;
  // 0 for a value of unknown rank.
  size_t rank(ValueId id) const { return type(id).dims ? type(id).dims->size() : 0; }

  // Of a node with two inputs, the one that is not `one`.
  std::optional<ValueId> other_input(const Node& node, ValueId one) const;
  // y where id = y + number or number + y.
  std::optional<ValueId> plus(ValueId id, double number) const;
  // id = value * number, number * value or value / number.
  std::optional<Scaled> times_number(ValueId id) const;
  // A chain of Mul and of Div by numbers, taken apart down to `stop` and to what other ops make; of at most 4 factors.
  Product product(ValueId id, ValueId stop) const;

  // Clip by numbers, Relu, Min or Max with a number; bounded() takes also two of these, one after the other.
  std::optional<Bounded> bound(ValueId id) const;
  std::optional<Bounded> bounded(ValueId id) const;

  // All nodes between the anchor and `leaves` (constants, inputs and states are leaves anyhow). The obstacle is the first of: an inner value
  // that others read or the graph returns, a state that changes on the way, more than 64 nodes.
  Cut cut(size_t anchor, std::span<const ValueId> leaves) const;
  Cut cut(size_t anchor, std::initializer_list<ValueId> leaves) const { return cut(anchor, std::span(leaves.begin(), leaves.size())); }

  // Whether no constant that these nodes read has more axes than x: elementwise, their result then has the shape of x.
  bool keep_shape_of(ValueId x, size_t anchor, const Cut& cut) const;

  // Puts `fused` where the anchor stands; it makes the anchor's outputs. Anchors must come in running order.
  void replace(size_t anchor, const Cut& cut, Node fused);
  // A node before the anchor, named after it. Returns its output, whose type is inferred. Ends the life of references to nodes.
  ValueId emit_before(size_t anchor, const OpDef& def, std::vector<ValueId> inputs, Attributes attributes = {});
  ValueId add_constant(std::string name, Tensor data) { return graph_.add_constant(std::move(name), std::move(data)); }
  bool taken_out(size_t node) const { return removed_[node]; }

  // Takes out what was replaced, and puts in what was emitted. Call it last, once.
  void finish();

 private:
  int maker_index(ValueId id) const { return static_cast<size_t>(id) < makers_.size() && id >= 0 ? makers_[static_cast<size_t>(id)] : -1; }
  std::string obstacle_of(const std::vector<size_t>& inner, size_t anchor) const;
  std::string reader_beyond(ValueId id) const;
  void count_reads(const Node& node, int by);

  Graph& graph_;
  std::vector<int> makers_;  // by ValueId: a node's index, or -1
  std::vector<int> uses_;    // by ValueId
  std::vector<int> state_changes_;
  std::vector<bool> removed_;                     // by node
  std::vector<std::pair<size_t, Node>> emitted_;  // with the anchor that each stands before
};

}  // namespace tandem
