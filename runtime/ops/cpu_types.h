// What the CPU's kernels take: all element types but f16 and bf16, which it converts and moves between memories but does not compute with.
#pragma once

#include <algorithm>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"

namespace tandem {

inline bool cpu_computes(const Graph& graph, const Node& node) {
  const auto is_half = [&](ValueId id) {
    const DType dtype = id == kNoValue ? DType::kUndefined : graph.value(id).type.dtype;
    return dtype == DType::kF16 || dtype == DType::kBF16;
  };
  const bool converts = node.def->name == "Cast" || node.def->name == "CopyToDevice" || node.def->name == "CopyToHost";
  if (converts || node.def->cpu == nullptr) return true;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (!(i < 32 && (node.def->shape_inputs >> i & 1)) && is_half(node.inputs[i])) return false;
  return std::ranges::none_of(node.outputs, is_half);
}

}  // namespace tandem
