// Rotary position embedding as Llama, GPT-NeoX and their kin are exported becomes one sweep:
//
//   x * cos + Concat(-x[..., n/2:], x[..., :n/2]) * sin                          ->  tandem.RotateHalves(x, cos, sin)
//   x * cos + Reshape(Concat(-x[..., 1::2, None], x[..., 0::2, None])) * sin     ->  tandem.RotatePairs(x, cos, sin)      GPT-J, CodeGen, Cohere
//
// The halves are those of the last axis, cut by Slice or Split, the pairs its neighbours. cos and sin, of one shape, come from wherever they do: tables, Gather, Cos. On plans
// for the CPU only, in f32: written out, it is what every device and file knows. The bits are those of the nodes one by one.
#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : pattern_(graph), notes_(notes) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < pattern_.graph().nodes.size(); ++n)
      if (PatternGraph::is(pattern_.graph().nodes[n], "Add")) changes += fuse(n);
    pattern_.finish();
    return changes;
  }

 private:
  struct Match {
    ValueId x = kNoValue, cos = kNoValue, sin = kNoValue;
    bool pairs = false;
    ValueId shape = kNoValue;  // that a Reshape of pairs reads
  };

  int64_t last_size(ValueId id) const { return pattern_.rank(id) == 0 ? -1 : pattern_.type(id).dims->back().size; }

  bool is_last(int64_t axis, ValueId x) const { return axis == -1 || axis + 1 == static_cast<int64_t>(pattern_.rank(x)); }

  std::optional<int64_t> lone(const Node& node, size_t input, int64_t fallback) const {
    if (input >= node.inputs.size() || node.inputs[input] == kNoValue) return fallback;
    const auto list = pattern_.integers(node.inputs[input]);
    return list && list->size() == 1 ? std::optional((*list)[0]) : std::nullopt;
  }

  // x where `id` is the first or second half of its last axis.
  ValueId halved(ValueId id, bool second) const {
    const Node* node = pattern_.maker(id);
    const ValueId x = node && !node->inputs.empty() ? node->inputs[0] : kNoValue;
    if (x == kNoValue || pattern_.rank(x) == 0) return kNoValue;
    const int64_t size = last_size(x), half = size / 2;
    if (size < 2 || size % 2 != 0 || last_size(id) != half) return kNoValue;
    if (PatternGraph::is(*node, "Split")) {
      const bool is_half = node->outputs.size() == 2 && node->outputs[second ? 1 : 0] == id && is_last(NodeContext(*node).get_int("axis", 0), x);
      return is_half ? x : kNoValue;
    }
    if (!PatternGraph::is(*node, "Slice") || node->inputs.size() < 4) return kNoValue;
    const auto start = lone(*node, 1, 0), axis = lone(*node, 3, 0), step = lone(*node, 4, 1);
    if (!start || !axis || step != 1 || !is_last(*axis, x)) return kNoValue;
    const int64_t from = *start < 0 ? *start + size : *start;  // with half the elements left, the end is where it must be
    return from == (second ? half : 0) ? x : kNoValue;
  }

  // x where `id` is Concat(-second half, first half).
  ValueId turned(ValueId id) const {
    const Node* concat = pattern_.maker(id, "Concat");
    if (!concat || concat->inputs.size() != 2 || !is_last(NodeContext(*concat).get_int("axis", 0), id)) return kNoValue;
    const Node* neg = pattern_.maker(concat->inputs[0], "Neg");
    const ValueId x = neg ? halved(neg->inputs[0], true) : kNoValue;
    return x != kNoValue && halved(concat->inputs[1], false) == x ? x : kNoValue;
  }

  // x where `id` has every other element of its last axis, from the second or the first on, behind one more axis.
  ValueId every_other(ValueId id, bool second) const {
    const Node* unsqueeze = pattern_.maker(id);
    if (!unsqueeze || !(PatternGraph::is(*unsqueeze, "Unsqueeze") || PatternGraph::is(*unsqueeze, "Reshape"))) return kNoValue;
    const auto &one = pattern_.type(unsqueeze->inputs[0]).dims, &with_axis = pattern_.type(id).dims;
    if (!one || !with_axis || with_axis->size() != one->size() + 1 || with_axis->back().size != 1) return kNoValue;
    for (size_t a = 0; a < one->size(); ++a)
      if ((*one)[a] != (*with_axis)[a] || (*one)[a] == Dim()) return kNoValue;
    const Node* neg = second ? pattern_.maker(unsqueeze->inputs[0], "Neg") : nullptr;
    if (second && !neg) return kNoValue;
    const Node* slice = pattern_.maker(second ? neg->inputs[0] : unsqueeze->inputs[0], "Slice");
    if (!slice || slice->inputs.size() != 5) return kNoValue;
    const ValueId x = slice->inputs[0];
    const int64_t size = last_size(x);
    const auto start = lone(*slice, 1, 0), axis = lone(*slice, 3, 0), step = lone(*slice, 4, 1);
    const bool is_half = size >= 2 && size % 2 == 0 && last_size(slice->outputs[0]) == size / 2;  // so the end is where it must be
    return is_half && start == int64_t{second} && axis && step == 2 && is_last(*axis, x) ? x : kNoValue;
  }

  // x where `id` is (-x[1], x[0], -x[3], x[2], ...), and the shape that is read for it.
  std::optional<std::pair<ValueId, ValueId>> turned_in_pairs(ValueId id) const {
    const Node* reshape = pattern_.maker(id, "Reshape");
    const Node* concat = reshape ? pattern_.maker(reshape->inputs[0], "Concat") : nullptr;
    if (!concat || concat->inputs.size() != 2 || !is_last(NodeContext(*concat).get_int("axis", 0), concat->outputs[0])) return std::nullopt;
    const ValueId x = every_other(concat->inputs[0], true);
    const bool is_turned = x != kNoValue && every_other(concat->inputs[1], false) == x && pattern_.same_shape(id, x);
    return is_turned ? std::optional(std::pair(x, reshape->inputs[1])) : std::nullopt;
  }

  std::optional<Match> match(const Node& add) const {
    for (size_t first : {size_t{0}, size_t{1}}) {
      const Node *by_cos = pattern_.maker(add.inputs[first], "Mul"), *by_sin = pattern_.maker(add.inputs[1 - first], "Mul");
      for (size_t i = 0; by_cos && by_sin && i < 2; ++i) {
        const auto pairs = turned_in_pairs(by_sin->inputs[i]);
        const ValueId x = pairs ? pairs->first : turned(by_sin->inputs[i]);
        const auto cos = x == kNoValue ? std::nullopt : pattern_.other_input(*by_cos, x);
        if (cos) return Match{x, *cos, by_sin->inputs[1 - i], pairs.has_value(), pairs ? pairs->second : kNoValue};
      }
    }
    return std::nullopt;
  }

  // Whether each axis of the angles is 1 or x's, and the last one x's.
  bool broadcasts(const Match& match) const {
    const auto &x = pattern_.type(match.x).dims, &angles = pattern_.type(match.cos).dims;
    if (!angles || angles->empty() || angles->size() > x->size() || !pattern_.same_shape(match.cos, match.sin)) return false;
    if (angles->back() != x->back()) return false;
    for (size_t a = 0; a < angles->size(); ++a) {
      const Dim &own = (*angles)[a], &whole = (*x)[x->size() - angles->size() + a];
      if (own.size != 1 && (own != whole || own == Dim())) return false;
    }
    return true;
  }

  bool fuse(size_t n) {
    const auto found = match(pattern_.graph().nodes[n]);
    if (!found || pattern_.type(found->x).dtype != DType::kF32) return false;
    Cut cut;
    if (broadcasts(*found)) cut = pattern_.cut(n, {found->x, found->cos, found->sin, found->shape});
    else cut.obstacle = "it is not certain that cos and sin broadcast to x";
    if (!cut) {
      notes_.near_miss(pattern_.graph(), pattern_.graph().nodes[n], "rotary embedding: " + cut.obstacle);
      return false;
    }
    const std::vector<ValueId> inputs = {found->x, found->cos, found->sin};
    const OpDef& def = newest_op(found->pairs ? "RotatePairs" : "RotateHalves", "tandem");
    pattern_.replace(n, cut, {.def = &def, .name = "", .inputs = inputs, .outputs = {}, .attributes = {}});
    return true;
  }

  PatternGraph pattern_;
  PassNotes& notes_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass rotary_fusion_pass = {"rotary_fusion", "turn the halves or pairs of rows by their angles in one sweep", apply};

}  // namespace tandem
