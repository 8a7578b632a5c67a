// Attention as exporters write it out becomes one node that makes no matrix of queries by keys:
//
//   MatMul(Softmax(masked(scaled(MatMul(Q, K^T)))), V)  ->  tandem.FusedAttention
//
// Scales are numbers by Mul or Div, before the product (on Q, on K, or as square roots on both) or behind it, or one number a head. Masks are up
// to two: added, or chosen by Where, as bool or float. Transposes of Q, K, V and of the result go into the node, and so do keys and values
// repeated for a group of heads, heads that were joined with the batch for the products (DeBERTa, BLOOM), and masks of windows (Swin). Also:
// scores capped by tanh, NaN guards (Where(IsNaN(p), 0, p)), and Casts to f32 around Softmax in 16 bits.
//
// The node has NumPy's broadcasting and softmax's NaN for rows without any key, so nothing need be known of sizes but the rank.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/symbolic.h"
#include "runtime/passes/attention_layout.h"
#include "runtime/passes/attention_pattern.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/reshape_target.h"

namespace tandem {
namespace {

constexpr size_t kMostMasks = 2;

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes), pattern_(graph), uses_(count_uses(graph)), reader_(graph.values.size(), -1) {
    for (size_t n = 0; n < graph.nodes.size(); ++n)
      for (ValueId id : graph.nodes[n].inputs)
        if (id != kNoValue) reader_[static_cast<size_t>(id)] = static_cast<int>(n);
  }

  int run() {
    int changes = 0;
    const size_t count = graph_.nodes.size();
    for (size_t n = 0; n < count; ++n) {
      if (PatternGraph::is(graph_.nodes[n], "MatMul")) changes += fuse(n, graph_.nodes[n]);
      else if (const Node* product = product_before(graph_.nodes[n])) changes += fuse(n, *product);
    }
    pattern_.finish();
    return changes;
  }

 private:
  DType dtype(ValueId id) const { return pattern_.type(id).dtype; }

  // Of a Reshape that parts the heads of a product from the batch, and alone reads it: that product.
  const Node* product_before(const Node& node) const {
    if (!PatternGraph::is(node, "Reshape") || uses_[static_cast<size_t>(node.inputs[0])] != 1) return nullptr;
    const Node* product = pattern_.maker(node.inputs[0], "MatMul");
    return product && pattern_.rank(node.inputs[0]) == 3 && grouping_between(pattern_, node.inputs[0], node.outputs[0]) ? product : nullptr;
  }
  // Whether `end` is to be asked, not its product: heads are parted.
  static bool joined(const AttentionMatch& match, size_t rank) { return match.grouping && rank == 3; }

  bool fuse(size_t anchor, const Node& product) {
    const Node& end = graph_.nodes[anchor];
    const bool parts = &end != &product;
    AttentionMatch match;
    const Node* inner = read_scores(pattern_, product, match);
    if (!inner) return false;
    const size_t rank = pattern_.rank(inner->inputs[0]);
    // Of matrices with constant weights a Gemm makes more.
    if (rank != 0 && (rank < 3 || rank > 4)) return false;
    if (joined(match, rank) != parts && (parts || is_parted_behind(end))) return false;  // it is the other's turn
    if (joined(match, rank) && !parts) match.obstacle = "its heads stay joined with the batch";
    if (match.obstacle.empty()) read_attention_operands(pattern_, uses_, *inner, product, match);
    if (match.obstacle.empty()) match.obstacle = misfit(match, rank);
    if (match.obstacle.empty()) {
      const Cut cut = pattern_.cut(anchor, leaves_of(match, parts ? end.inputs[1] : kNoValue));
      if (cut) {
        pattern_.replace(anchor, cut, fused(anchor, match, rank));
        uses_.resize(graph_.values.size(), 1);
        return true;
      }
      match.obstacle = cut.obstacle;
    }
    notes_.near_miss(graph_, graph_.nodes[anchor], "attention, but " + match.obstacle);
    return false;
  }

  bool is_parted_behind(const Node& product) const {
    const int reader = reader_[static_cast<size_t>(product.outputs[0])];
    return reader >= 0 && product_before(graph_.nodes[static_cast<size_t>(reader)]) == &product;
  }

  static std::vector<ValueId> leaves_of(const AttentionMatch& match, ValueId shape) {
    std::vector<ValueId> leaves = {match.q.leaf, match.k.leaf, match.v.leaf, match.head_scale, shape};
    for (const AttentionMask& mask : match.masks) leaves.push_back(mask.leaf);
    leaves.insert(leaves.end(), match.shapes.begin(), match.shapes.end());
    return leaves;
  }

  // What keeps a match from being a node; empty if nothing does.
  std::string misfit(AttentionMatch& match, size_t rank) const {
    const DType type = dtype(match.q.value);
    if (!is_float(type) || dtype(match.k.value) != type || dtype(match.v.value) != type) return "Q, K and V differ in type";
    if (match.head_scale != kNoValue && dtype(match.head_scale) != type) return "the scale of a head is of another type";
    if (match.masks.size() > kMostMasks && !can_be_joined(match.masks)) return "there are more than two masks";
    if (!std::isfinite(match.scale) || static_cast<float>(match.scale) == 0) return "the scale is 0 or infinite";
    if (type == DType::kF64 && static_cast<double>(static_cast<float>(match.scale)) != match.scale) return "the scale is not a float";
    if (match.grouping && rank == 4 && match.grouping->groups.size < 2) return "the number of windows is not known";
    int bools = 0;
    for (AttentionMask& mask : match.masks) {
      if (mask.leaf == match.product) return "the scores are their own mask";
      if (bools > 0 && dtype(mask.value) == DType::kBool && dtype(mask.leaf) != DType::kBool && !mask.rewritten) mask.value = mask.leaf;
      if (const std::string why = misfit(mask, match, rank); !why.empty()) return why;
      const bool is_bool = dtype(mask.value) == DType::kBool;
      if (!is_bool && dtype(mask.value) != type) return "a mask is of another type";
      bools += is_bool;
    }
    return bools > 1 ? "both masks are bool" : "";
  }

  std::string misfit(const AttentionMask& mask, const AttentionMatch& match, size_t rank) const {
    const auto& dims = pattern_.type(mask.value).dims;
    if (!dims) return "a mask's rank is not known";
    if (dims->size() > mask.scores_rank) return "a mask has more axes than the scores";
    if (is_joined_mask(mask, match, rank) && dims->front() != product(std::vector<Dim>{match.grouping->batch, match.grouping->groups}))
      return "the heads of a mask are not joined as those of the scores are";
    if (dims->size() == 5 && ((*dims)[0].size != 1 || !reshape_target(*dims, without_first(*dims)))) return "a mask of windows has a batch";
    return "";
  }
  // Whether three masks are two: the last ones are added, and of one shape. Their sum is then one mask.
  bool can_be_joined(const std::vector<AttentionMask>& masks) const {
    if (masks.size() != 3) return false;
    const AttentionMask &one = masks[1], &two = masks[2];
    const bool are_added = is_float(dtype(one.value)) && is_float(dtype(two.value));
    return are_added && one.scores_rank == two.scores_rank && pattern_.same_shape(one.value, two.value);
  }
  // Whether heads and batch of a mask are one axis, so that it has to be parted.
  bool is_joined_mask(const AttentionMask& mask, const AttentionMatch& match, size_t rank) const {
    const auto& dims = pattern_.type(mask.value).dims;
    return joined(match, rank) && mask.scores_rank == 3 && dims->size() == 3 && dims->front().size != 1;
  }
  static Dims without_first(const Dims& dims) { return {dims.begin() + 1, dims.end()}; }

  static bool is_identity(const std::vector<int64_t>& perm) { return std::ranges::is_sorted(perm); }

  Node fused(size_t anchor, const AttentionMatch& match, size_t rank) {
    Node node;
    node.def = &newest_op("FusedAttention", "tandem");
    ValueId q = match.q.value;
    if (match.head_scale != kNoValue) q = pattern_.emit_before(anchor, newest_op("Mul"), {q, match.head_scale});
    node.inputs = {q, match.k.value, match.v.value};
    if (match.scale != 1) node.attributes["scale"] = static_cast<float>(match.scale);
    if (match.cap != 0) node.attributes["softcap"] = static_cast<float>(match.cap);
    if (match.guarded) node.attributes["nan_guard"] = int64_t{1};
    if (match.grouping && rank == 4) node.attributes["mask_cycles"] = int64_t{1};
    for (const AttentionMask& mask : match.masks) {
      const ValueId fitting = shaped(anchor, mask, match, rank);
      if (node.inputs.size() == 3 + kMostMasks) {
        node.inputs.back() = pattern_.emit_before(anchor, newest_op("Add"), {node.inputs.back(), fitting});
        continue;
      }
      node.inputs.push_back(fitting);
      if (dtype(mask.value) != DType::kBool) continue;
      if (mask.hides) node.attributes["mask_hides"] = int64_t{1};
      if (mask.hidden != -std::numeric_limits<double>::infinity()) node.attributes["hidden"] = static_cast<float>(mask.hidden);
    }
    const std::pair<const char*, const AttentionOperand*> operands[] = {{"q_perm", &match.q}, {"k_perm", &match.k}, {"v_perm", &match.v}};
    for (const auto& [name, operand] : operands)
      if (!is_identity(operand->perm)) node.attributes[name] = operand->perm;
    return node;
  }

  // A mask with the axes of the fused node's scores.
  ValueId shaped(size_t anchor, const AttentionMask& mask, const AttentionMatch& match, size_t rank) {
    const Dims dims = *pattern_.type(mask.value).dims;
    if (dims.size() == 5) return reshaped(anchor, mask.value, *reshape_target(dims, without_first(dims)));
    if (!is_joined_mask(mask, match, rank)) return mask.value;
    if (const auto target = reshape_target(dims, {match.grouping->batch, match.grouping->groups, dims[1], dims[2]}))
      return reshaped(anchor, mask.value, *target);
    const ValueId front = sizes(anchor, match.q.value, {match.q.perm[0], match.q.perm[1]}), back = sizes(anchor, mask.value, {1, 2});
    const ValueId shape = pattern_.emit_before(anchor, newest_op("Concat"), {front, back}, {{"axis", int64_t{0}}});
    return pattern_.emit_before(anchor, newest_op("Reshape"), {mask.value, shape}, {{"allowzero", int64_t{1}}});
  }
  ValueId list(std::vector<int64_t> values) {
    return pattern_.add_constant("shape", Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  ValueId sizes(size_t anchor, ValueId of, std::vector<int64_t> axes) {
    const ValueId shape = pattern_.emit_before(anchor, newest_op("Shape"), {of});
    return pattern_.emit_before(anchor, newest_op("Gather"), {shape, list(std::move(axes))});
  }
  ValueId reshaped(size_t anchor, ValueId x, const ReshapeTarget& target) {
    Attributes attributes;
    if (target.keeps_zeros) attributes["allowzero"] = int64_t{1};
    return pattern_.emit_before(anchor, newest_op("Reshape"), {x, list(target.shape)}, std::move(attributes));
  }

  Graph& graph_;
  PassNotes& notes_;
  PatternGraph pattern_;
  std::vector<int> uses_;    // before the pass
  std::vector<int> reader_;  // by value: the last node that reads it, or -1
};

int apply(Graph& graph, PassNotes& notes) {
  dead_code_pass.rewrite(graph, notes);  // exporters ask for shapes that nobody needs any more: readers that would be in the way
  const int changes = Fusion(graph, notes).run();
  return changes + take_result_orders(graph);
}

}  // namespace

const Pass attention_fusion_pass = {"attention_fusion", "attention that is written out becomes one node, without its matrix of scores", apply};

}  // namespace tandem
