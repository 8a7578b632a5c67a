// From the product of weights and V back to the product of Q and K: softmax, NaN guards, casts, masks, scales, caps, and the Reshapes that
// part heads or windows from the batch for a mask. All of it is questions; what cannot be fused becomes the match's obstacle.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/graph/contexts.h"
#include "runtime/ops/symbolic.h"
#include "runtime/passes/attention_pattern.h"

namespace tandem {
namespace {

constexpr int kMostSteps = 10;            // between two products
constexpr double kSwallowsScores = 1e30;  // added to a score, a number of this size leaves nothing of it
constexpr double kNoBound = -3.4e38;      // a bound that no finite score of f32 is below

bool is_certain(const Dim& dim) { return dim.known() || !dim.symbol.empty(); }

class Scores {
 public:
  Scores(const PatternGraph& pattern, AttentionMatch& match) : pattern_(pattern), match_(match) {}

  // Back over what stands between the second product and the softmax.
  std::optional<ValueId> softmax_input(ValueId id) {
    for (int step = 0; step < kMostSteps; ++step) {
      const Node* node = pattern_.maker(id);
      if (!node) return std::nullopt;
      if (PatternGraph::is(*node, "Softmax")) {
        if (!along_last_axis(*node)) match_.obstacle = "softmax is not along the last axis";
        return node->inputs[0];
      }
      if (const auto inner = guarded_value(*node)) {
        match_.guarded = true;
        id = *inner;
      } else if ((PatternGraph::is(*node, "Cast") && widens(id, node->inputs[0])) || regroups(*node)) {
        id = node->inputs[0];
      } else {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  // Back from the softmax over masks and scales to the first product.
  const Node* product(ValueId id) {
    for (int step = 0; step < kMostSteps; ++step) {
      const Node* node = pattern_.maker(id);
      if (!node) return nullptr;
      if (PatternGraph::is(*node, "MatMul")) {
        std::ranges::reverse(match_.masks);
        match_.product = id;
        return node;
      }
      const auto next = step_back(*node, id);
      if (!next) return nullptr;
      id = *next;
    }
    return nullptr;
  }

 private:
  DType dtype(ValueId id) const { return pattern_.type(id).dtype; }
  void obstacle(std::string_view why) {
    if (match_.obstacle.empty()) match_.obstacle = why;
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

  // A Reshape between scores with and without their groups, the same groups throughout.
  bool regroups(const Node& reshape) {
    if (!PatternGraph::is(reshape, "Reshape")) return false;
    const auto grouping = grouping_between(pattern_, reshape.inputs[0], reshape.outputs[0]);
    if (!grouping) return false;
    if (match_.grouping && (match_.grouping->batch != grouping->batch || match_.grouping->groups != grouping->groups))
      obstacle("the scores are grouped in two ways");
    match_.grouping = grouping;
    match_.shapes.push_back(reshape.inputs[1]);
    return true;
  }

  std::optional<ValueId> step_back(const Node& node, ValueId id) {
    if (auto mask = mask_of(node); mask && leads_to_product(mask->first)) {
      take(mask->second);
      return mask->first;
    }
    if (const auto times = pattern_.times_number(id)) {
      if (match_.floor) obstacle("the scores are scaled before a bound");
      const auto capped = capped_value(*times);
      if (capped && (match_.scale != 1 || match_.cap != 0)) obstacle("the scores are scaled behind their cap");
      if (capped) match_.cap = times->factor;
      else match_.scale *= times->factor;
      return capped ? *capped : times->value;
    }
    if (const auto scores = before_head_scale(node)) return scores;
    if (const auto bound = pattern_.bound(id); bound && bound->low <= kNoBound && std::isinf(bound->high) && match_.scale == 1) {
      match_.floor = bound->low;
      return bound->value;
    }
    if ((PatternGraph::is(node, "Cast") && widens(node.inputs[0], id)) || regroups(node)) return node.inputs[0];
    return std::nullopt;
  }

  // What is applied behind a mask can be applied before it if it is known what the mask puts there.
  void take(AttentionMask& mask) {
    const bool is_bool = dtype(mask.value) == DType::kBool;
    const bool rescaled = match_.scale != 1 && is_bool && (std::abs(match_.scale) <= 1 || std::isinf(mask.hidden));
    if (match_.cap != 0 || match_.head_scale != kNoValue || (match_.scale != 1 && !rescaled)) obstacle("the scores are scaled behind a mask");
    if (match_.floor && !is_bool) obstacle("a mask that is added lies before a bound of the scores");
    if (rescaled) mask.hidden *= match_.scale, mask.rewritten = true;
    if (match_.floor) mask.hidden = std::max(mask.hidden, *match_.floor), mask.rewritten = true;
    match_.masks.push_back(mask);
  }

  // s of cap * tanh(s / cap).
  std::optional<ValueId> capped_value(const Scaled& outer) const {
    const Node* tanh = pattern_.maker(outer.value, "Tanh");
    const auto inside = tanh ? pattern_.times_number(tanh->inputs[0]) : std::nullopt;
    const bool inverse = inside && outer.factor > 0 && std::abs(inside->factor * outer.factor - 1) < 1e-6;
    return inverse ? std::optional(inside->value) : std::nullopt;
  }

  // s of s * f, where f has one number a head, [heads, 1, 1]: it may as well be a factor of Q.
  std::optional<ValueId> before_head_scale(const Node& mul) {
    if (!PatternGraph::is(mul, "Mul") || match_.head_scale != kNoValue || match_.cap != 0) return std::nullopt;
    for (size_t i : {size_t{0}, size_t{1}}) {
      const auto &f = pattern_.type(mul.inputs[i]).dims, &s = pattern_.type(mul.inputs[1 - i]).dims;
      const bool as_fused = s && !(match_.grouping && s->size() != 4);  // the axes that the fused node has
      if (!f || !as_fused || f->size() < 3 || f->size() > s->size() || !leads_to_product(mul.inputs[1 - i])) continue;
      if ((*f)[f->size() - 1].size != 1 || (*f)[f->size() - 2].size != 1) continue;
      match_.head_scale = mul.inputs[i];
      return mul.inputs[1 - i];
    }
    return std::nullopt;
  }

  // Whether a chain as product() walks it begins with a product. Of two addends the first counts.
  bool leads_to_product(ValueId id) const {
    constexpr std::array<std::string_view, 7> kPassed = {"Mul", "Div", "Add", "Cast", "Tanh", "Where", "Max"};
    for (int step = 0; step < kMostSteps; ++step) {
      const Node* node = pattern_.maker(id);
      if (!node) return false;
      if (PatternGraph::is(*node, "MatMul")) return true;
      const bool regroups = PatternGraph::is(*node, "Reshape") && grouping_between(pattern_, node->inputs[0], node->outputs[0]);
      const bool passes = node->def->domain.empty() && std::ranges::find(kPassed, node->def->name) != kPassed.end();
      if (!passes && !regroups) return false;
      id = regroups ? node->inputs[0] : next_towards_product(*node);
    }
    return false;
  }
  ValueId next_towards_product(const Node& node) const {
    const auto is_leaf = [&](ValueId id) { return pattern_.maker(id) == nullptr; };
    if (PatternGraph::is(node, "Where")) return is_leaf(node.inputs[1]) ? node.inputs[2] : node.inputs[1];
    return node.inputs.size() > 1 && is_leaf(node.inputs[0]) ? node.inputs[1] : node.inputs[0];
  }

  // The scores and the mask of a node that masks. Where both addends come from products, the first are the scores.
  std::optional<std::pair<ValueId, AttentionMask>> mask_of(const Node& node) {
    if (PatternGraph::is(node, "Add")) {
      const bool first = leads_to_product(node.inputs[0]);
      const ValueId scores = node.inputs[first ? 0 : 1];
      return std::pair(scores, added(node.inputs[first ? 1 : 0], pattern_.rank(scores)));
    }
    if (!PatternGraph::is(node, "Where")) return std::nullopt;
    for (size_t i : {size_t{1}, size_t{2}})
      if (const auto hidden = pattern_.number(node.inputs[i])) {
        const ValueId scores = node.inputs[3 - i], condition = before_expansion(node.inputs[0], scores);
        return std::pair(scores, AttentionMask{condition, condition, i == 1, *hidden, pattern_.rank(scores), false});
      }
    return std::nullopt;
  }

  // A mask that is expanded to the very shape of the scores broadcasts to it just so.
  ValueId before_expansion(ValueId mask, ValueId scores) {
    const Node* expand = pattern_.maker(mask, "Expand");
    const Node* shape = expand ? pattern_.maker(expand->inputs[1], "Shape") : nullptr;
    const bool by_scores = shape && shape->inputs[0] == scores;
    if (!expand || (!by_scores && !pattern_.same_shape(mask, scores))) return mask;
    if (!by_scores) match_.shapes.push_back(expand->inputs[1]);
    return expand->inputs[0];
  }

  // An added mask that a Where makes of 0 and of a number that leaves nothing of a score is that Where's condition.
  AttentionMask added(ValueId id, size_t scores_rank) const {
    const AttentionMask plain{id, id, false, 0, scores_rank, false};
    const Node* where = pattern_.maker(id, "Where");
    if (!where) return plain;
    const auto yes = pattern_.number(where->inputs[1]), no = pattern_.number(where->inputs[2]);
    if (!yes || !no || pattern_.rank(where->inputs[0]) != pattern_.rank(id)) return plain;
    const bool hides = *no == 0;
    const double hidden = hides ? *yes : *no;
    if ((hides ? *no : *yes) != 0 || hidden > -kSwallowsScores) return plain;
    return {id, where->inputs[0], hides, hidden, scores_rank, false};
  }

  const PatternGraph& pattern_;
  AttentionMatch& match_;
};

}  // namespace

const Node* read_scores(const PatternGraph& pattern, const Node& second_product, AttentionMatch& match) {
  Scores scores(pattern, match);
  const auto input = scores.softmax_input(second_product.inputs[0]);
  return input ? scores.product(*input) : nullptr;
}

std::optional<AttentionGrouping> grouping_between(const PatternGraph& pattern, ValueId one, ValueId other) {
  const auto &a = pattern.type(one).dims, &b = pattern.type(other).dims;
  if (!a || !b || std::max(a->size(), b->size()) != std::min(a->size(), b->size()) + 1) return std::nullopt;
  const Dims &joined = a->size() < b->size() ? *a : *b, &parted = a->size() < b->size() ? *b : *a;
  if (joined.empty()) return std::nullopt;
  const Dim whole = product(std::span(parted).first(2));
  if (!is_certain(whole) || whole != joined[0]) return std::nullopt;
  for (size_t i = 1; i < joined.size(); ++i)
    if (!is_certain(joined[i]) || joined[i] != parted[i + 1]) return std::nullopt;
  return AttentionGrouping{parted[0], parted[1]};
}

}  // namespace tandem
