#include "runtime/plan/work.h"

#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/product_precision.h"

namespace tandem {

double flops_of(const Plan& plan, const Node& node) {
  const auto is_dynamic = [&](ValueId id) { return plan.is_dynamic(id); };
  if (std::ranges::any_of(node.inputs, is_dynamic) || std::ranges::any_of(node.outputs, is_dynamic)) return 0;
  if (node.def->flops) return node.def->flops(BindContext(plan.graph, node, plan.shapes, plan.options.threads));
  if (!node.def->cpu || node.outputs[0] == kNoValue) return 0;
  return static_cast<double>(plan.shapes[static_cast<size_t>(node.outputs[0])].elements());
}

namespace {

// Of the first input of an op that multiplies; undefined for others.
DType multiplied_type(const Plan& plan, const Node& node) {
  if (!node.def->flops || node.inputs.empty() || node.inputs[0] == kNoValue) return DType::kUndefined;
  return plan.graph.value(node.inputs[0]).type.dtype;
}

}  // namespace

bool multiplies_bytes(const Plan& plan, const Node& node) {
  const DType dtype = multiplied_type(plan, node);
  return dtype == DType::kI8 || dtype == DType::kU8;
}

bool multiplies_bf16(const Plan& plan, const Node& node) {
  return multiplied_type(plan, node) == DType::kBF16 || rounds_operands(NodeContext(node));
}

}  // namespace tandem
