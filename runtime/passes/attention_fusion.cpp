// Attention as exporters write it out becomes one node that makes no matrix of queries by keys:
//
//   MatMul(Softmax(masked(scaled(MatMul(Q, K^T)))), V)  ->  tandem.FusedAttention
//
// Scales are numbers by Mul or Div, before the product (on Q, on K, or as square roots on both) or behind it. Masks are up to two: added, or
// chosen by Where, as bool or float. Transposes of Q, K, V and of the result go into the node, and so do keys and values repeated for a
// group of heads. Also: scores capped by tanh, NaN guards (Where(IsNaN(p), 0, p)), and Casts to f32 around Softmax in 16 bits.
//
// The node has NumPy's broadcasting and softmax's NaN for rows without any key, so nothing need be known of sizes but the rank.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/attention_layout.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

using Perm = std::vector<int64_t>;

constexpr size_t kMostMasks = 2;
constexpr int kMostSteps = 8;             // between two products, and from a product back to what it reads
constexpr double kSwallowsScores = 1e30;  // added to a score, a number of this size leaves nothing of it

// Q, K or V on the way back from its product.
struct Operand {
  ValueId value = kNoValue;
  Perm perm;  // of the Transpose that stands for those passed
  double factor = 1;
  int64_t repeats = 1;  // of each head
};

struct Mask {
  ValueId leaf = kNoValue;   // where the pattern ends
  ValueId value = kNoValue;  // what the fused node reads
  bool hides = false;        // of bools: true where a key is hidden
  double hidden = 0;
};

struct Match {
  ValueId product = kNoValue;  // Q K^T
  Operand q, k, v;
  std::vector<Mask> masks;  // in the order in which they are applied
  double scale = 1, cap = 0;
  bool guarded = false;
  std::string obstacle;
};

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes), pattern_(graph), uses_(count_uses(graph)) {}

  int run() {
    int changes = 0;
    const size_t count = graph_.nodes.size();
    for (size_t n = 0; n < count; ++n) {
      if (PatternGraph::is(graph_.nodes[n], "MatMul")) changes += fuse(n);
    }
    pattern_.finish();
    return changes;
  }

 private:
  bool read_once(ValueId id) const { return uses_[static_cast<size_t>(id)] == 1; }
  DType dtype(ValueId id) const { return pattern_.type(id).dtype; }

  bool fuse(size_t anchor) {
    const Node& product = graph_.nodes[anchor];
    Match match;
    const auto scores = softmax_input(product.inputs[0], match);
    const Node* inner = scores ? score_product(*scores, match) : nullptr;
    if (!inner) return false;
    const size_t rank = pattern_.rank(inner->inputs[0]);
    // Of matrices with constant weights a Gemm makes more.
    if (rank != 0 && (rank < 3 || rank > 4)) return false;
    if (match.obstacle.empty()) read_operands(*inner, product, match);
    if (match.obstacle.empty()) match.obstacle = misfit(match);
    if (match.obstacle.empty()) {
      std::vector<ValueId> leaves = {match.q.value, match.k.value, match.v.value};
      for (const Mask& mask : match.masks) leaves.push_back(mask.leaf);
      const Cut cut = pattern_.cut(anchor, leaves);
      if (cut) {
        pattern_.replace(anchor, cut, fused(match));
        uses_.resize(graph_.values.size(), 1);
        return true;
      }
      match.obstacle = cut.obstacle;
    }
    notes_.near_miss(graph_, graph_.nodes[anchor], "attention, but " + match.obstacle);
    return false;
  }

  // Back over what stands between the second product and the softmax.
  std::optional<ValueId> softmax_input(ValueId id, Match& match) {
    for (int step = 0; step < kMostSteps; ++step) {
      const Node* node = pattern_.maker(id);
      if (!node) return std::nullopt;
      if (PatternGraph::is(*node, "Softmax")) {
        if (!along_last_axis(*node)) match.obstacle = "softmax is not along the last axis";
        return node->inputs[0];
      }
      if (const auto inner = guarded_value(*node)) {
        match.guarded = true;
        id = *inner;
      } else if (PatternGraph::is(*node, "Cast") && widens(id, node->inputs[0])) {
        id = node->inputs[0];
      } else {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  // `wide` is f32 and `narrow` a float of 16 bits.
  bool widens(ValueId narrow, ValueId wide) const {
    const DType small = dtype(narrow);
    return dtype(wide) == DType::kF32 && (small == DType::kF16 || small == DType::kBF16);
  }

  bool along_last_axis(const Node& softmax) const {
    const int64_t axis = NodeContext(softmax).get_int("axis", softmax.def->since < 13 ? 1 : -1);
    const auto rank = static_cast<int64_t>(pattern_.rank(softmax.inputs[0]));
    return axis == -1 || (rank > 0 && axis == rank - 1);
  }

  // p of Where(IsNaN(p), 0, p).
  std::optional<ValueId> guarded_value(const Node& where) const {
    if (!PatternGraph::is(where, "Where")) return std::nullopt;
    const Node* is_nan = pattern_.maker(where.inputs[0], "IsNaN");
    const bool zero = pattern_.number(where.inputs[1]) == 0.0;
    return is_nan && zero && is_nan->inputs[0] == where.inputs[2] ? std::optional(where.inputs[2]) : std::nullopt;
  }

  // Back from the softmax over masks and scales to the first product.
  const Node* score_product(ValueId id, Match& match) {
    for (int step = 0; step < kMostSteps; ++step) {
      const Node* node = pattern_.maker(id);
      if (!node) return nullptr;
      if (PatternGraph::is(*node, "MatMul")) {
        std::ranges::reverse(match.masks);
        match.product = id;
        return node;
      }
      const bool scaled = match.scale != 1 || match.cap != 0;
      if (const auto mask = mask_of(*node); mask && leads_to_product(mask->first)) {
        if (scaled && match.obstacle.empty()) match.obstacle = "the scores are scaled behind a mask";
        match.masks.push_back(mask->second);
        id = mask->first;
      } else if (const auto times = pattern_.times_number(id)) {
        const auto capped = capped_value(*times);
        if (capped && match.obstacle.empty() && scaled) match.obstacle = "the scores are scaled behind their cap";
        if (capped) match.cap = times->factor;
        else match.scale *= times->factor;
        id = capped ? *capped : times->value;
      } else if (PatternGraph::is(*node, "Cast") && widens(node->inputs[0], id)) {
        id = node->inputs[0];
      } else {
        return nullptr;
      }
    }
    return nullptr;
  }

  // s of cap * tanh(s / cap).
  std::optional<ValueId> capped_value(const Scaled& outer) const {
    const Node* tanh = pattern_.maker(outer.value, "Tanh");
    const auto inside = tanh ? pattern_.times_number(tanh->inputs[0]) : std::nullopt;
    const bool inverse = inside && outer.factor > 0 && std::abs(inside->factor * outer.factor - 1) < 1e-6;
    return inverse ? std::optional(inside->value) : std::nullopt;
  }

  // Whether a chain as score_product walks it begins with a product. Of two addends the first counts.
  bool leads_to_product(ValueId id) const {
    for (int step = 0; step < kMostSteps; ++step) {
      const Node* node = pattern_.maker(id);
      if (!node) return false;
      if (PatternGraph::is(*node, "MatMul")) return true;
      const bool passes = PatternGraph::is(*node, "Mul") || PatternGraph::is(*node, "Div") || PatternGraph::is(*node, "Add") ||
                          PatternGraph::is(*node, "Cast") || PatternGraph::is(*node, "Tanh");
      if (!passes && !PatternGraph::is(*node, "Where")) return false;
      id = next_towards_product(*node);
    }
    return false;
  }
  ValueId next_towards_product(const Node& node) const {
    const auto is_leaf = [&](ValueId id) { return pattern_.maker(id) == nullptr; };
    if (PatternGraph::is(node, "Where")) return is_leaf(node.inputs[1]) ? node.inputs[2] : node.inputs[1];
    return node.inputs.size() > 1 && is_leaf(node.inputs[0]) ? node.inputs[1] : node.inputs[0];
  }

  // The scores and the mask of a node that masks. Where both addends come from products, the first are the scores.
  std::optional<std::pair<ValueId, Mask>> mask_of(const Node& node) const {
    if (PatternGraph::is(node, "Add")) {
      const bool first = leads_to_product(node.inputs[0]);
      return std::pair(node.inputs[first ? 0 : 1], added(node.inputs[first ? 1 : 0]));
    }
    if (!PatternGraph::is(node, "Where")) return std::nullopt;
    for (size_t i : {size_t{1}, size_t{2}})
      if (const auto hidden = pattern_.number(node.inputs[i]))
        return std::pair(node.inputs[3 - i], Mask{node.inputs[0], node.inputs[0], i == 1, *hidden});
    return std::nullopt;
  }

  // An added mask that a Where makes of 0 and of a number that leaves nothing of a score is that Where's condition.
  Mask added(ValueId id) const {
    const Mask plain{id, id, false, 0};
    const Node* where = pattern_.maker(id, "Where");
    if (!where) return plain;
    const auto yes = pattern_.number(where->inputs[1]), no = pattern_.number(where->inputs[2]);
    if (!yes || !no || pattern_.rank(where->inputs[0]) != pattern_.rank(id)) return plain;
    const bool hides = *no == 0;
    const double hidden = hides ? *yes : *no;
    return (hides ? *no : *yes) == 0 && hidden <= -kSwallowsScores ? Mask{id, where->inputs[0], hides, hidden} : plain;
  }

  void read_operands(const Node& inner, const Node& outer, Match& match) {
    const size_t rank = pattern_.rank(inner.inputs[0]);
    const size_t result = pattern_.rank(outer.outputs[0]);
    if (rank == 0 || pattern_.rank(inner.inputs[1]) != rank || pattern_.rank(outer.inputs[1]) != rank || (result != 0 && result != rank)) {
      match.obstacle = "Q, K and V are not of one known rank";
      return;
    }
    match.q = operand(inner.inputs[0], rank, {.scale = true});
    for (const bool repeats : {true, false}) {  // of both or of none
      match.k = operand(inner.inputs[1], rank, {.scale = true, .transposed = true, .repeats = repeats});
      match.v = operand(outer.inputs[1], rank, {.repeats = repeats});
      if (match.k.repeats == match.v.repeats && (match.k.repeats == 1 || heads_in_groups(match))) break;
    }
    match.scale *= match.q.factor * match.k.factor;
    std::swap(match.k.perm[rank - 2], match.k.perm[rank - 1]);  // it was read as K^T
  }

  // Axis `axis` of what an operand is behind its Transpose.
  Dim dim_of(const Operand& operand, size_t axis) const {
    const auto& dims = pattern_.type(operand.value).dims;
    return dims ? (*dims)[static_cast<size_t>(operand.perm[axis])] : Dim();
  }
  // As many heads of Q as the repetition makes of those of K and V.
  bool heads_in_groups(const Match& match) const {
    const Dim q = dim_of(match.q, 1), k = dim_of(match.k, 1), v = dim_of(match.v, 1);
    return q.known() && k.known() && k.size == v.size && k.size * match.k.repeats == q.size;
  }

  // What may be passed on the way back.
  struct Passed {
    bool scale = false, transposed = false, repeats = false;
  };
  // As far back as nobody else reads what lies between and the kernel can walk the layout.
  Operand operand(ValueId id, size_t rank, Passed passed) const {
    Operand operand{id, Perm(rank)};
    std::iota(operand.perm.begin(), operand.perm.end(), int64_t{0});
    for (int step = 0; step < kMostSteps && read_once(operand.value); ++step) {
      const Node* node = pattern_.maker(operand.value);
      if (!node) break;
      if (const auto times = passed.scale ? pattern_.times_number(operand.value) : std::nullopt;
          times && pattern_.rank(times->value) == rank) {
        operand.factor *= times->factor;
        operand.value = times->value;
      } else if (const auto perm = PatternGraph::is(*node, "Transpose") ? composed(operand.perm, *node, passed.transposed) : std::nullopt) {
        operand.perm = *perm;
        operand.value = node->inputs[0];
      } else if (const auto shared = passed.repeats && rank == 4 && operand.repeats == 1 ? before_repetition(*node, operand.perm)
                                                                                         : std::nullopt) {
        operand.repeats = pattern_.type(node->outputs[0]).dims->at(1).size / pattern_.type(*shared).dims->at(1).size;
        operand.value = *shared;
      } else {
        break;
      }
    }
    return operand;
  }

  // `outer` behind the node's own, if the size of a head stays last in memory (or, of K^T, may be the last but one).
  static std::optional<Perm> composed(const Perm& outer, const Node& transpose, bool transposed) {
    const Perm inner = NodeContext(transpose).get_ints("perm");
    if (inner.size() != outer.size()) return std::nullopt;
    Perm both;
    for (int64_t axis : outer) both.push_back(inner[static_cast<size_t>(axis)]);
    const auto last = static_cast<int64_t>(both.size()) - 1;
    const bool walkable = both.back() == last || (transposed && both[both.size() - 2] == last);
    return walkable ? std::optional(both) : std::nullopt;
  }

  // x of Reshape(Expand(Unsqueeze(x, 2)), [batch, heads * n, rows, size]): each head n times. `perm` must not have moved heads.
  std::optional<ValueId> before_repetition(const Node& reshape, const Perm& perm) const {
    const Node* expand = PatternGraph::is(reshape, "Reshape") ? pattern_.maker(reshape.inputs[0], "Expand") : nullptr;
    const Node* unsqueeze = expand ? pattern_.maker(expand->inputs[0], "Unsqueeze") : nullptr;
    if (!unsqueeze || perm[1] != 1 || !read_once(reshape.inputs[0]) || !read_once(expand->inputs[0])) return std::nullopt;
    const ValueId x = unsqueeze->inputs[0];
    const auto &from = pattern_.type(x).dims, &single = pattern_.type(expand->inputs[0]).dims, &wide = pattern_.type(reshape.inputs[0]).dims,
               &to = pattern_.type(reshape.outputs[0]).dims;
    if (!from || !single || !wide || !to || from->size() != 4 || wide->size() != 5 || to->size() != 4) return std::nullopt;
    const auto certain = [](const Dim& a, const Dim& b) { return a == b && (a.known() || !a.symbol.empty()); };
    const Dims &f = *from, &w = *wide, &t = *to;
    const bool repeats = certain(f[0], w[0]) && certain(f[1], w[1]) && certain(f[2], w[3]) && certain(f[3], w[4]) &&
                         (*single)[2].size == 1 && f[1].known() && f[1].size > 0 && w[2].known();
    const bool joins = certain(f[0], t[0]) && t[1].known() && t[1].size == f[1].size * w[2].size && certain(f[3], t[3]);
    return repeats && joins ? std::optional(x) : std::nullopt;
  }

  // What keeps a match from being a node; empty if nothing does.
  std::string misfit(const Match& match) const {
    const DType type = dtype(match.q.value);
    if (!is_float(type) || dtype(match.k.value) != type || dtype(match.v.value) != type) return "Q, K and V differ in type";
    if (match.masks.size() > kMostMasks) return "there are more than two masks";
    if (!std::isfinite(match.scale) || static_cast<float>(match.scale) == 0) return "the scale is 0 or infinite";
    if (type == DType::kF64 && static_cast<double>(static_cast<float>(match.scale)) != match.scale) return "the scale is not a float";
    int bools = 0;
    for (const Mask& mask : match.masks) {
      if (mask.leaf == match.product) return "the scores are their own mask";
      const auto& dims = pattern_.type(mask.value).dims;
      if (!dims) return "a mask's rank is not known";
      if (dims->size() > match.q.perm.size()) return "a mask has more axes than the scores";
      const bool is_bool = dtype(mask.value) == DType::kBool;
      if (!is_bool && dtype(mask.value) != type) return "a mask is of another type";
      bools += is_bool;
    }
    return bools > 1 ? "both masks are bool" : "";
  }

  static bool is_identity(const Perm& perm) { return std::ranges::is_sorted(perm); }

  Node fused(const Match& match) const {
    Node node;
    node.def = &newest_op("FusedAttention", "tandem");
    node.inputs = {match.q.value, match.k.value, match.v.value};
    if (match.scale != 1) node.attributes["scale"] = static_cast<float>(match.scale);
    if (match.cap != 0) node.attributes["softcap"] = static_cast<float>(match.cap);
    if (match.guarded) node.attributes["nan_guard"] = int64_t{1};
    for (const Mask& mask : match.masks) {
      node.inputs.push_back(mask.value);
      if (dtype(mask.value) != DType::kBool) continue;
      if (mask.hides) node.attributes["mask_hides"] = int64_t{1};
      if (mask.hidden != -std::numeric_limits<double>::infinity()) node.attributes["hidden"] = static_cast<float>(mask.hidden);
    }
    const std::pair<const char*, const Operand*> operands[] = {{"q_perm", &match.q}, {"k_perm", &match.k}, {"v_perm", &match.v}};
    for (const auto& [name, operand] : operands)
      if (!is_identity(operand->perm)) node.attributes[name] = operand->perm;
    return node;
  }

  Graph& graph_;
  PassNotes& notes_;
  PatternGraph pattern_;
  std::vector<int> uses_;  // before the pass
};

int apply(Graph& graph, PassNotes& notes) {
  dead_code_pass.rewrite(graph, notes);  // exporters ask for shapes that nobody needs any more: readers that would be in the way
  const int changes = Fusion(graph, notes).run();
  return changes + take_result_orders(graph);
}

}  // namespace

const Pass attention_fusion_pass = {"attention_fusion", "attention that is written out becomes one node, without its matrix of scores", apply};

}  // namespace tandem
