// A mean over the pixels of a quantized image whose channels come last is made of its bytes:
//
//   ReduceMean(DequantizeLinear(x), all axes but the first and the last)    =>   tandem.QuantizedMean(x, scale, zero)
//
// with the exact sum, rounded once, in place of an f32 tensor four times as large. Behind layout_assignment, which makes such
// means of GlobalAveragePool, on plans for the CPU. Left alone: numbers that others read in f32 as well, scales of more than one
// number.
#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes), pattern_(graph) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      if (PatternGraph::is(graph_.nodes[n], "ReduceMean")) changes += fuse(n);
    pattern_.finish();
    return changes;
  }

 private:
  // A constant of one element, of any type.
  bool is_single(ValueId id) const {
    return id != kNoValue && graph_.value(id).kind == ValueKind::kConstant && graph_.value(id).data.elements() == 1;
  }

  bool goes_over_pixels(const Node& mean, size_t rank) const {
    const NodeContext context(mean);
    std::vector<int64_t> axes = context.get_ints("axes");
    if (context.has_input(1)) {
      const auto given = pattern_.integers(mean.inputs[1]);
      if (!given) return false;
      axes = *given;
    }
    for (int64_t& axis : axes) axis += axis < 0 ? static_cast<int64_t>(rank) : 0;
    std::ranges::sort(axes);
    if (axes.size() + 2 != rank) return false;
    for (size_t i = 0; i < axes.size(); ++i)
      if (axes[i] != static_cast<int64_t>(i) + 1) return false;
    return true;
  }

  bool fuse(size_t n) {
    const Node& mean = graph_.nodes[n];
    const Node* numbers = pattern_.maker(mean.inputs[0], "DequantizeLinear");
    if (!numbers || numbers->inputs.size() < 3 || !is_single(numbers->inputs[1]) || !is_single(numbers->inputs[2])) return false;
    const ValueId x = numbers->inputs[0];
    const DType type = pattern_.type(x).dtype;
    if ((type != DType::kU8 && type != DType::kI8) || pattern_.type(numbers->inputs[1]).dtype != DType::kF32 ||
        pattern_.type(mean.outputs[0]).dtype != DType::kF32 || pattern_.rank(x) < 3 || !goes_over_pixels(mean, pattern_.rank(x)))
      return false;
    const Cut cut = pattern_.cut(n, {x});
    if (!cut) {
      notes_.near_miss(graph_, mean, "not a mean of bytes: " + cut.obstacle);
      return false;
    }
    Node fused;
    fused.def = &newest_op("QuantizedMean", "tandem");
    fused.inputs = numbers->inputs;
    fused.attributes["keepdims"] = NodeContext(mean).get_int("keepdims", 1);
    pattern_.replace(n, cut, std::move(fused));
    return true;
  }

  Graph& graph_;
  PassNotes& notes_;
  PatternGraph pattern_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass quantized_mean_fusion_pass = {"quantized_mean_fusion", "make means of quantized images of their bytes", apply};

}  // namespace tandem
