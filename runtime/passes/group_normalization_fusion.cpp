// GroupNormalization as exporters write it for opsets that have none, or one with a scale a group:
//
//   Reshape(x, [n, groups, ...]) -> InstanceNormalization with scales of 1 and biases of 0 -> Reshape to the shape of x
//   [-> Mul by one constant a channel [-> Add of one]]                                       ->  GroupNormalization     PyTorch
//
// One pass over memory instead of two or three. On plans for the CPU only: a graph that is written out keeps the form that every opset has.
#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : pattern_(graph), notes_(notes), readers_(graph.values.size()) {
    for (size_t n = 0; n < graph.nodes.size(); ++n)
      for (ValueId id : graph.nodes[n].inputs)
        if (id != kNoValue) readers_[static_cast<size_t>(id)].push_back(n);
  }

  int run() {
    int changes = 0;
    for (size_t n = 0; n < pattern_.graph().nodes.size(); ++n)
      if (!pattern_.taken_out(n) && PatternGraph::is(pattern_.graph().nodes[n], "InstanceNormalization")) changes += fuse(n);
    pattern_.finish();
    return changes;
  }

 private:
  const Tensor& data(ValueId id) const { return pattern_.graph().value(id).data; }

  bool all(ValueId id, float wanted) const {
    return pattern_.graph().value(id).kind == ValueKind::kConstant && data(id).dtype() == DType::kF32 &&
           std::ranges::all_of(data(id).as<float>(), [&](float v) { return v == wanted; });
  }

  // The only reader of `id`, if that is a node of this op.
  std::optional<size_t> next(ValueId id, std::string_view op) const {
    const auto& readers = readers_[static_cast<size_t>(id)];
    const bool returned = std::ranges::find(pattern_.graph().outputs, id) != pattern_.graph().outputs.end();
    if (readers.size() != 1 || returned || !PatternGraph::is(pattern_.graph().nodes[readers[0]], op)) return std::nullopt;
    return readers[0];
  }

  // A constant that is one number a channel of x, broadcast over all else.
  bool is_by_channel(ValueId id, const Dims& x) const {
    if (id == kNoValue || pattern_.graph().value(id).kind != ValueKind::kConstant || data(id).dtype() != DType::kF32) return false;
    const Shape& shape = data(id).shape();
    const auto axis = static_cast<int>(1 + shape.rank() - static_cast<int>(x.size()));  // of the channels
    if (shape.rank() > static_cast<int>(x.size()) || axis < 0) return false;
    return shape[axis] == x[1].size && shape.elements() == x[1].size;
  }

  // Takes in a Mul by or an Add of one constant a channel.
  ValueId take(size_t& anchor, std::string_view op, const Dims& x) const {
    const ValueId y = pattern_.graph().nodes[anchor].outputs[0];
    const auto n = next(y, op);
    const auto other = n ? pattern_.other_input(pattern_.graph().nodes[*n], y) : std::nullopt;
    if (!other || !is_by_channel(*other, x)) return kNoValue;
    anchor = *n;
    return *other;
  }

  bool fuse(size_t n) {
    const Node& instance = pattern_.graph().nodes[n];
    const Node* apart = pattern_.maker(instance.inputs[0], "Reshape");
    const auto back = apart ? next(instance.outputs[0], "Reshape") : std::nullopt;
    if (!back || !all(instance.inputs[1], 1) || !all(instance.inputs[2], 0)) return false;
    const ValueId x = apart->inputs[0], y = pattern_.graph().nodes[*back].outputs[0];
    const auto &whole = pattern_.type(x).dims, &grouped = pattern_.type(instance.inputs[0]).dims;
    if (!whole || !grouped || whole->size() < 3 || grouped->size() < 3 || pattern_.type(x).dtype != DType::kF32) return false;
    const Dim channels = (*whole)[1], groups = (*grouped)[1];
    if (!channels.known() || !groups.known() || groups.size < 1 || channels.size % groups.size != 0) return false;
    if ((*whole)[0] == Dim() || (*whole)[0] != (*grouped)[0] || !pattern_.same_shape(x, y)) {
      notes_.near_miss(pattern_.graph(), instance, "GroupNormalization: it is not certain that the shape is that of x again");
      return false;
    }
    const Dims dims = *whole;
    size_t anchor = *back;
    const ValueId scale = take(anchor, "Mul", dims);
    const ValueId bias = scale == kNoValue ? kNoValue : take(anchor, "Add", dims);
    const ValueId to = apart->inputs[1], from = pattern_.graph().nodes[*back].inputs[1];
    const Cut cut = pattern_.cut(anchor, {x, to, from});
    if (!cut) {
      notes_.near_miss(pattern_.graph(), instance, "GroupNormalization: " + cut.obstacle);
      return false;
    }
    const float epsilon = NodeContext(instance).get_float("epsilon", 1e-5f);
    put(anchor, cut, {x, by_channel(scale, channels.size, 1), by_channel(bias, channels.size, 0)}, groups.size, epsilon);
    return true;
  }

  // One number a channel; `otherwise` where there is no constant.
  ValueId by_channel(ValueId id, int64_t channels, float otherwise) {
    if (id != kNoValue) return pattern_.add_constant("by_channel", data(id).reshaped({channels}));
    Tensor same(DType::kF32, {channels});
    std::ranges::fill(same.as<float>(), otherwise);
    return pattern_.add_constant("by_channel", std::move(same));
  }

  void put(size_t anchor, const Cut& cut, std::vector<ValueId> inputs, int64_t groups, float epsilon) {
    Node node{.def = &newest_op("GroupNormalization"), .name = "", .inputs = std::move(inputs), .outputs = {}, .attributes = {}};
    node.attributes = {{"num_groups", groups}, {"epsilon", epsilon}};
    pattern_.replace(anchor, cut, std::move(node));
  }

  PatternGraph pattern_;
  PassNotes& notes_;
  std::vector<std::vector<size_t>> readers_;  // by ValueId, of the graph as it was
};

int apply(Graph& graph, PassNotes& notes) {
  const int changes = Fusion(graph, notes).run();
  if (changes > 0) dead_code_pass.apply(graph);  // what computed the shapes
  return changes;
}

}  // namespace

const Pass group_normalization_fusion_pass = {"group_normalization_fusion",
                                              "make one node of GroupNormalization written with InstanceNormalization", apply};

}  // namespace tandem
