// Families: elementwise ops (nothing changes), ops along one axis, ops with a list of axes that stay, go (Reduce without keepdims, Squeeze) or
// come (Unsqueeze), ops with numbers for all axes (Pad, Resize), ops on rows, which only let the last axis be where it is, and Reshape where it
// cuts or joins axes that lie side by side before the Transpose as well. For a host pools, and blocks of channels
// that become pixels, are those with channels last.
#include "runtime/passes/transposed_op.h"

#include <span>

#include "kernels/api/pool_channels_last.h"
#include "runtime/graph/constant_integers.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/elementwise_nodes.h"
#include "runtime/passes/transposed_reshape.h"

namespace tandem {
namespace {

using Inputs = TransposedOp::Inputs;
using Result = std::optional<TransposedOp>;

constexpr std::string_view kReductions[] = {"ReduceL1",  "ReduceL2",  "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
                                            "ReduceMean", "ReduceMin", "ReduceProd",   "ReduceSum",       "ReduceSumSquare"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) { return std::ranges::find(names, name) != names.end(); }

class Rules {
 public:
  Rules(const Graph& graph, const Node& node, const Permutation& order, TransposedOps allowed)
      : graph_(graph), node_(node), context_(node), order_(order), rank_(static_cast<int>(order.size())), allowed_(allowed) {}

  Result apply() const {
    const std::string_view op = node_.def->name;
    if (rank_ == 0) return std::nullopt;
    if (!node_.def->domain.empty()) return on_bytes();
    if (op == "Identity" || op == "Clip") return unchanged(Inputs::kFirst);
    if (is_elementwise(*node_.def)) return unchanged(Inputs::kBroadcast);
    if (is_one_of(op, kReductions)) return reduction();
    if (op == "ArgMax" || op == "ArgMin") return arg_reduction();
    if (op == "Softmax" || op == "LogSoftmax" || op == "Hardmax") return node_.def->since >= 13 ? along("axis", -1, Inputs::kFirst) : std::nullopt;
    if (op == "Reshape" || op == "Flatten") return reshape();
    if (op == "Gather") return gather();
    if (op == "Concat") return along("axis", 0, Inputs::kAll);
    if (op == "Split") return along("axis", 0, Inputs::kFirst);
    if (op == "Slice") return slice();
    if (op == "Pad") return pad();
    if (op == "Squeeze") return squeeze();
    if (op == "Unsqueeze") return unsqueeze();
    if (op == "QuantizeLinear" || op == "DequantizeLinear") return quantization();
    if (op == "LayerNormalization") return layer_normalization();
    if (op == "MatMul") return rows_times_matrix();
    return allowed_ == TransposedOps::kForHost ? for_host() : std::nullopt;
  }

 private:
  TransposedOp unchanged(Inputs inputs) const { return {.inputs = inputs, .order = order_, .attributes = node_.attributes}; }

  // Where an axis of the transposed tensor is before the Transpose.
  std::optional<int64_t> moved(int64_t axis) const {
    if (axis < 0) axis += rank_;
    return axis >= 0 && axis < rank_ ? std::optional<int64_t>(order_[static_cast<size_t>(axis)]) : std::nullopt;
  }
  std::optional<std::vector<int64_t>> moved(const std::vector<int64_t>& axes) const {
    std::vector<int64_t> result;
    for (int64_t axis : axes) {
      const auto to = moved(axis);
      if (!to) return std::nullopt;
      result.push_back(*to);
    }
    return result;
  }

  Result along(std::string_view attribute, int64_t fallback, Inputs inputs) const {
    TransposedOp op = unchanged(inputs);
    const auto axis = moved(context_.get_int(attribute, fallback));
    if (!axis) return std::nullopt;
    op.attributes[std::string(attribute)] = *axis;
    return op;
  }

  std::optional<std::vector<int64_t>> list(int input) const {
    if (!context_.has_input(input)) return std::nullopt;
    const ValueId id = node_.inputs[static_cast<size_t>(input)];
    return graph_.value(id).data.shape().rank() > 1 ? std::nullopt : constant_integers(graph_, id);
  }

  // The axes that an op names, by attribute or as an input.
  std::optional<std::vector<int64_t>> axes(int input) const {
    if (context_.has_attribute("axes")) return context_.get_ints("axes");
    return list(input);
  }
  void set_axes(TransposedOp& op, size_t input, std::vector<int64_t> axes) const {
    if (context_.has_attribute("axes"))
      op.attributes["axes"] = std::move(axes);
    else
      op.lists[input] = std::move(axes);
  }

  std::vector<bool> marked(const std::vector<int64_t>& axes, int rank) const {
    std::vector<bool> marks(static_cast<size_t>(rank));
    for (int64_t axis : axes) marks[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
    return marks;
  }

  Result reduction() const {
    const auto named = axes(1);
    if (!named || named->empty()) return std::nullopt;
    const auto to = moved(*named);
    if (!to) return std::nullopt;
    TransposedOp op = unchanged(Inputs::kFirst);
    set_axes(op, 1, *to);
    if (context_.get_int("keepdims", 1) == 0) op.order = without(order_, marked(*named, rank_));
    return op;
  }

  Result arg_reduction() const {
    Result op = along("axis", 0, Inputs::kFirst);
    if (op && context_.get_int("keepdims", 1) == 0) op->order = without(order_, marked({context_.get_int("axis", 0)}, rank_));
    return op;
  }

  // Of a list of indices the axis stays, of a single one it goes.
  Result gather() const {
    const auto& indices = graph_.value(node_.inputs[1]).type.dims;
    if (!indices || indices->size() > 1) return std::nullopt;
    Result op = along("axis", 0, Inputs::kFirst);
    if (op && indices->empty()) op->order = without(order_, marked({context_.get_int("axis", 0)}, rank_));
    return op;
  }

  Result slice() const {
    TransposedOp op = unchanged(Inputs::kFirst);
    std::vector<int64_t> named;
    if (context_.has_attribute("axes") || context_.has_input(3)) {
      const auto given = axes(3);
      if (!given) return std::nullopt;
      named = *given;
    } else {
      size_t count = context_.get_ints("starts").size();
      if (context_.has_input(1)) {
        const auto& dims = graph_.value(node_.inputs[1]).type.dims;
        if (!dims || dims->size() != 1 || !(*dims)[0].known()) return std::nullopt;
        count = static_cast<size_t>((*dims)[0].size);
      }
      for (size_t i = 0; i < count; ++i) named.push_back(static_cast<int64_t>(i));
    }
    const auto to = moved(named);
    if (!to) return std::nullopt;
    if (context_.has_attribute("starts"))
      op.attributes["axes"] = *to;
    else
      op.lists[3] = *to;
    return op;
  }

  Result pad() const {
    TransposedOp op = unchanged(Inputs::kFirst);
    if (context_.has_input(3)) {
      const auto named = list(3);
      const auto to = named ? moved(*named) : std::nullopt;
      if (!to) return std::nullopt;
      op.lists[3] = *to;
      return op;
    }
    const auto given = context_.has_attribute("pads") ? std::optional(context_.get_ints("pads")) : list(1);
    if (!given || given->size() != 2 * order_.size()) return std::nullopt;
    std::vector<int64_t> pads(given->size());
    for (size_t a = 0; a < order_.size(); ++a)
      for (size_t end : {size_t{0}, order_.size()}) pads[static_cast<size_t>(order_[a]) + end] = (*given)[a + end];
    if (context_.has_attribute("pads"))
      op.attributes["pads"] = pads;
    else
      op.lists[1] = pads;
    return op;
  }

  Result squeeze() const {
    const auto named = axes(1);
    const auto to = named && !named->empty() ? moved(*named) : std::nullopt;
    if (!to) return std::nullopt;
    TransposedOp op = unchanged(Inputs::kFirst);
    set_axes(op, 1, *to);
    op.order = without(order_, marked(*named, rank_));
    return op;
  }

  // The new axes stay where they are; the others keep their order around them.
  Result unsqueeze() const {
    const auto named = axes(1);
    if (!named) return std::nullopt;
    const int rank = rank_ + static_cast<int>(named->size());
    const std::vector<bool> is_new = marked(*named, rank);
    std::vector<int> old;  // places of the axes that are not new
    for (int a = 0; a < rank; ++a)
      if (!is_new[static_cast<size_t>(a)]) old.push_back(a);
    if (old.size() != order_.size()) return std::nullopt;
    TransposedOp op = unchanged(Inputs::kFirst);
    op.order.clear();
    size_t next = 0;
    for (int a = 0; a < rank; ++a) op.order.push_back(is_new[static_cast<size_t>(a)] ? a : old[static_cast<size_t>(order_[next++])]);
    return op;
  }

  Result quantization() const {
    if (context_.get_int("block_size", 0) != 0 || !context_.has_input(1)) return std::nullopt;
    const auto& scale = graph_.value(node_.inputs[1]).type.dims;
    if (!scale || scale->size() > 1) return std::nullopt;
    return scale->empty() || node_.def->since < 13 ? unchanged(Inputs::kFirst) : along("axis", 1, Inputs::kFirst);
  }

  bool keeps_last_axis() const { return order_.back() == rank_ - 1; }

  Result layer_normalization() const {
    const int64_t axis = context_.get_int("axis", -1);
    const bool one_output = std::ranges::count_if(node_.outputs, [](ValueId id) { return id != kNoValue; }) == 1;
    return one_output && keeps_last_axis() && (axis == -1 || axis == rank_ - 1) ? std::optional(unchanged(Inputs::kFirst)) : std::nullopt;
  }

  Result rows_times_matrix() const {
    const Value& matrix = graph_.value(node_.inputs[1]);
    const bool is_matrix = matrix.kind == ValueKind::kConstant && matrix.data.shape().rank() == 2;
    return is_matrix && keeps_last_axis() && rank_ >= 2 ? std::optional(unchanged(Inputs::kFirst)) : std::nullopt;
  }

  // Elementwise ops on quantized tensors, with scales and zero points of one number.
  Result on_bytes() const {
    const std::string_view op = node_.def->name;
    if (node_.def->domain == "tandem" && op == "ByteTable") return unchanged(Inputs::kFirst);
    if (node_.def->domain == "tandem" && (op == "QuantizedAdd" || op == "QuantizedMul")) return unchanged(Inputs::kBroadcast);
    if (node_.def->domain != "com.microsoft") return std::nullopt;
    if (op == "QLinearSigmoid" || op == "QLinearLeakyRelu") return unchanged(Inputs::kFirst);
    return op == "QLinearAdd" || op == "QLinearMul" ? std::optional(unchanged(Inputs::kBroadcast)) : std::nullopt;
  }

  Result for_host() const {
    const std::string_view op = node_.def->name;
    const DType type = graph_.value(node_.inputs[0]).type.dtype;
    if (op == "Resize") return resize();
    if (rank_ < 3 || order_ != order_to_channels_first(order_.size())) return std::nullopt;
    if (op == "MaxPool" && node_.outputs.size() == 1 && cpu::pools_channels_last(type)) return pool("ChannelsLastMaxPool");
    if (op == "AveragePool" && type == DType::kF32) return pool("ChannelsLastAveragePool");
    if (rank_ == 4 && op == "DepthToSpace") return renamed("ChannelsLastDepthToSpace");
    if (rank_ == 4 && op == "SpaceToDepth") return renamed("ChannelsLastSpaceToDepth");
    if (op == "GlobalAveragePool") return global_pool("ReduceMean");
    return op == "GlobalMaxPool" ? global_pool("ReduceMax") : std::nullopt;
  }

  Result renamed(std::string_view name) const {
    TransposedOp op = unchanged(Inputs::kFirst);
    op.def = &newest_op(name, "tandem");
    return op;
  }

  Result pool(std::string_view name) const {
    if (rank_ > 5) return std::nullopt;
    Result op = renamed(name);
    op->attributes.erase("storage_order");
    return op;
  }

  Result global_pool(std::string_view reduction) const {
    TransposedOp op = unchanged(Inputs::kFirst);
    op.def = &newest_op(reduction);
    for (int64_t axis = 1; axis + 1 < rank_; ++axis) op.lists[1].push_back(axis);
    return op;
  }

  // Sizes and scales stand in the order of `axes`.
  Result resize() const {
    if (node_.def->since < 11) return std::nullopt;
    TransposedOp op = unchanged(Inputs::kFirst);
    std::vector<int64_t> named = context_.get_ints("axes");
    if (named.empty())
      for (int64_t axis = 0; axis < rank_; ++axis) named.push_back(axis);
    const auto to = moved(named);
    if (!to) return std::nullopt;
    op.attributes["axes"] = *to;
    return op;
  }

  Result reshape() const {
    const auto &from = graph_.value(node_.inputs[0]).type.dims, &to = graph_.value(node_.outputs[0]).type.dims;
    const auto before = from && to ? transposed_reshape(*from, *to, order_) : std::nullopt;
    if (!before) return std::nullopt;
    TransposedOp op = unchanged(Inputs::kFirst);
    op.order = before->order;
    op.attributes.clear();
    if (before->target.keeps_zeros) op.attributes["allowzero"] = int64_t{1};
    op.def = &newest_op("Reshape");
    op.lists[1] = before->target.shape;
    return op;
  }

  const Graph& graph_;
  const Node& node_;
  NodeContext context_;
  const Permutation& order_;
  int rank_;
  TransposedOps allowed_;
};

}  // namespace

std::optional<TransposedOp> transposed_op(const Graph& graph, const Node& node, const Permutation& order, TransposedOps allowed) {
  return Rules(graph, node, order, allowed).apply();
}

}  // namespace tandem
