#include "runtime/ops/plain_attention.h"

#include <limits>
#include <numeric>
#include <utility>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

class PlainAttention : private NodeContext {
 public:
  PlainAttention(Graph& graph, const Node& node, int opset) : NodeContext(node), graph_(graph), opset_(opset) {
    const auto& dims = graph.value(node.inputs[0]).type.dims;
    require(dims.has_value(), "attention with inputs of unknown rank cannot be written out");
    rank_ = dims->size();
  }

  void run() {
    const ValueId q = moved(input(0), "q_perm"), k = repeated(moved(input(1), "k_perm"), q), v = repeated(moved(input(2), "v_perm"), q);
    std::vector<int64_t> swapped = axes();
    std::swap(swapped[rank_ - 1], swapped[rank_ - 2]);
    ValueId scores = emit("MatMul", {times(q, get_float("scale", 1)), emit("Transpose", {k}, {{"perm", swapped}})});
    if (const float cap = get_float("softcap", 0); cap != 0) scores = times(emit("Tanh", {times(scores, 1 / cap)}), cap);
    for (int i : {3, 4})
      if (has_input(i)) scores = masked(scores, input(i));
    ValueId p = emit("Softmax", {scores}, {{"axis", static_cast<int64_t>(rank_) - 1}});
    if (get_int("nan_guard", 0) != 0) p = emit("Where", {emit("IsNaN", {p}), number(0), p});
    moved(emit("MatMul", {p, v}), "y_perm");
    graph_.nodes.back().outputs = node().outputs;
  }

 private:
  ValueId input(int i) const { return node().inputs[static_cast<size_t>(i)]; }
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return graph_.add_node(find_op("", op, opset_), std::move(inputs), 1, std::move(attributes), node().name + "." + std::string(op))[0];
  }
  ValueId number(float value) {
    const DType type = graph_.value(input(0)).type.dtype;
    const ValueId single = graph_.add_constant(node().name + ".number", Tensor::scalar<float>(value));
    return type == DType::kF32 ? single : emit("Cast", {single}, {{"to", static_cast<int64_t>(type)}});
  }
  ValueId times(ValueId x, float factor) { return factor == 1 ? x : emit("Mul", {x, number(factor)}); }

  std::vector<int64_t> axes() const {
    std::vector<int64_t> axes(rank_);
    std::iota(axes.begin(), axes.end(), int64_t{0});
    return axes;
  }
  ValueId moved(ValueId x, std::string_view attribute) {
    const std::vector<int64_t> perm = get_ints(attribute);
    return perm.empty() ? x : emit("Transpose", {x}, {{"perm", perm}});
  }

  // Each head of K or V for a whole group of heads of Q.
  ValueId repeated(ValueId x, ValueId q) {
    if (rank_ != 4) return x;
    const Dims own = *graph_.value(x).type.dims, query = *graph_.value(q).type.dims;
    if (!own[1].known() || !query[1].known() || own[1].size <= 1 || query[1].size <= own[1].size) return x;
    const int64_t heads = own[1].size, size = own[3].size;
    require(own[3].known(), "heads of unknown size cannot be repeated");
    const ValueId single = emit("Reshape", {x, integers({0, heads, 1, -1, size})});
    const ValueId copies =
        emit("Concat", std::vector<ValueId>(static_cast<size_t>(query[1].size / heads), single), {{"axis", int64_t{2}}});
    return emit("Reshape", {copies, integers({0, query[1].size, -1, size})});
  }
  ValueId integers(std::vector<int64_t> values) {
    return graph_.add_constant(node().name + ".shape", Tensor::of<int64_t>(Shape({static_cast<int64_t>(values.size())}), values));
  }

  // The mask once for each of its batches among those of the scores.
  ValueId cycled(ValueId scores, ValueId mask) {
    const auto& dims = graph_.value(mask).type.dims;
    if (get_int("mask_cycles", 0) == 0 || !dims || dims->size() != 4 || dims->front().size == 1) return mask;
    const auto batches = [&](ValueId x) { return emit("Gather", {emit("Shape", {x}), integers({0})}); };
    const ValueId times = emit("Div", {batches(scores), batches(mask)});
    return emit("Tile", {mask, emit("Concat", {times, integers({1, 1, 1})}, {{"axis", int64_t{0}}})});
  }

  ValueId masked(ValueId scores, ValueId mask) {
    mask = cycled(scores, mask);
    if (graph_.value(mask).type.dtype != DType::kBool) return emit("Add", {scores, mask});
    const ValueId hidden = number(get_float("hidden", -std::numeric_limits<float>::infinity()));
    return get_int("mask_hides", 0) != 0 ? emit("Where", {mask, hidden, scores}) : emit("Where", {mask, scores, hidden});
  }

  Graph& graph_;
  int opset_;
  size_t rank_;
};

bool can_be_written_out(const Graph& graph, const Node& node) {
  return node.def->domain == "tandem" && node.def->name == "FusedAttention" && graph.value(node.inputs[0]).type.dims;
}

}  // namespace

void append_plain_attention(Graph& graph, const Node& node, int opset) { PlainAttention(graph, node, opset).run(); }

int write_out_attention(Graph& graph) {
  int count = 0;
  const std::vector<Node> nodes = std::exchange(graph.nodes, {});
  for (const Node& node : nodes) {
    if (can_be_written_out(graph, node)) append_plain_attention(graph, node, kOnnxOpset), ++count;
    else graph.nodes.push_back(node);
  }
  return count;
}

}  // namespace tandem
