// From the two products of an attention back to Q, K and V: scales, Transposes, keys and values repeated for a group of heads, and the Reshape
// that joins heads and batch.
#include <algorithm>
#include <numeric>

#include "runtime/graph/contexts.h"
#include "runtime/passes/attention_pattern.h"

namespace tandem {
namespace {

using Perm = std::vector<int64_t>;

constexpr int kMostSteps = 8;

// What may be passed on the way back.
struct Passed {
  bool scale = false, transposed = false, repeats = false;
};

class Operands {
 public:
  Operands(const PatternGraph& pattern, const std::vector<int>& uses, AttentionMatch& match) : pattern_(pattern), uses_(uses), match_(match) {}

  void read(const Node& inner, const Node& outer) {
    const size_t rank = pattern_.rank(inner.inputs[0]);
    const size_t result = pattern_.rank(outer.outputs[0]);
    if (rank == 0 || pattern_.rank(inner.inputs[1]) != rank || pattern_.rank(outer.inputs[1]) != rank || (result != 0 && result != rank)) {
      match_.obstacle = "Q, K and V are not of one known rank";
      return;
    }
    joined_ = match_.grouping && rank == 3;
    const bool q_is_taken = match_.head_scale != kNoValue;  // its factor reads it as it is
    match_.q = operand(inner.inputs[0], rank, {.scale = !q_is_taken}, !q_is_taken);
    const size_t shapes = match_.shapes.size();
    for (const bool repeats : {true, false}) {  // of both or of none
      match_.shapes.resize(shapes);
      match_.k = operand(inner.inputs[1], rank, {.scale = true, .transposed = true, .repeats = repeats});
      match_.v = operand(outer.inputs[1], rank, {.repeats = repeats});
      if (match_.k.repeats == match_.v.repeats && (match_.k.repeats == 1 || heads_in_groups())) break;
    }
    const size_t wanted = rank + joined_;
    if (match_.q.perm.size() != wanted || match_.k.perm.size() != wanted || match_.v.perm.size() != wanted) {
      match_.obstacle = "the heads of Q, K and V are not parted from the batch as those of the scores are";
      return;
    }
    match_.scale *= match_.q.factor * match_.k.factor;
    std::swap(match_.k.perm[wanted - 2], match_.k.perm[wanted - 1]);  // it was read as K^T
  }

 private:
  bool read_once(ValueId id) const { return uses_[static_cast<size_t>(id)] == 1; }

  // Axis `axis` of what an operand is behind its Transpose.
  Dim dim_of(const AttentionOperand& operand, size_t axis) const {
    const auto& dims = pattern_.type(operand.value).dims;
    return dims ? (*dims)[static_cast<size_t>(operand.perm[axis])] : Dim();
  }
  // As many heads of Q as the repetition makes of those of K and V.
  bool heads_in_groups() const {
    const Dim q = dim_of(match_.q, 1), k = dim_of(match_.k, 1), v = dim_of(match_.v, 1);
    return q.known() && k.known() && k.size == v.size && k.size * match_.k.repeats == q.size;
  }

  AttentionOperand operand(ValueId id, size_t rank, Passed passed, bool any = true) {
    AttentionOperand operand{.value = id, .leaf = id, .perm = Perm(rank)};
    std::iota(operand.perm.begin(), operand.perm.end(), int64_t{0});
    for (int step = 0; any && step < kMostSteps && read_once(operand.value); ++step)
      if (!step_back(operand, passed)) break;
    operand.leaf = operand.value;
    if (any && !read_once(operand.value)) pass_join(operand);  // which may stay for others: it costs nothing
    return operand;
  }

  bool step_back(AttentionOperand& operand, Passed passed) {
    const Node* node = pattern_.maker(operand.value);
    if (!node) return false;
    const size_t rank = operand.perm.size();
    if (const auto times = passed.scale ? pattern_.times_number(operand.value) : std::nullopt;
        times && pattern_.rank(times->value) == rank) {
      operand.factor *= times->factor;
      operand.value = times->value;
    } else if (const auto perm = PatternGraph::is(*node, "Transpose") ? composed(operand.perm, *node, passed.transposed) : std::nullopt) {
      operand.perm = *perm;
      operand.value = node->inputs[0];
    } else if (pass_join(operand)) {
      match_.shapes.push_back(node->inputs[1]);
    } else if (const auto shared = passed.repeats && rank == 4 && operand.repeats == 1 ? before_repetition(*node, operand.perm) : std::nullopt) {
      operand.repeats = pattern_.type(node->outputs[0]).dims->at(1).size / pattern_.type(*shared).dims->at(1).size;
      match_.shapes.insert(match_.shapes.end(), {node->inputs[1], pattern_.maker(node->inputs[0])->inputs[1]});
      operand.value = *shared;
    } else {
      return false;
    }
    return true;
  }

  // Over a Reshape from [batch, heads, rows, size] to [batch * heads, rows, size], as the scores are parted again.
  bool pass_join(AttentionOperand& operand) const {
    const Node* reshape = joined_ ? pattern_.maker(operand.value, "Reshape") : nullptr;
    if (!reshape || operand.perm.size() != 3 || operand.perm[0] != 0 || pattern_.rank(reshape->inputs[0]) != 4) return false;
    const auto grouping = grouping_between(pattern_, reshape->inputs[0], operand.value);
    if (!grouping || grouping->batch != match_.grouping->batch || grouping->groups != match_.grouping->groups) return false;
    for (int64_t& axis : operand.perm) ++axis;
    operand.perm.insert(operand.perm.begin(), 0);
    operand.value = reshape->inputs[0];
    return true;
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

  const PatternGraph& pattern_;
  const std::vector<int>& uses_;
  AttentionMatch& match_;
  bool joined_ = false;
};

}  // namespace

void read_attention_operands(const PatternGraph& pattern, const std::vector<int>& uses, const Node& first_product, const Node& second_product,
                             AttentionMatch& match) {
  Operands(pattern, uses, match).read(first_product, second_product);
}

}  // namespace tandem
