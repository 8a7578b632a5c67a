// Which nodes the kernels of the CPU and of the GPU take, by element type.
#pragma once

#include <algorithm>

#include "kernels/base/dtype_families.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"

namespace tandem {

constexpr bool is_half(DType t) { return t == DType::kF16 || t == DType::kBF16; }

// Whether the kernel looks at the content of input `i`.
inline bool reads_content(const Node& node, size_t i) {
  return node.inputs[i] != kNoValue && !(i < 32 && (node.def->shape_inputs >> i & 1));
}

// Whether the op makes its outputs itself (OpDef::evaluate). Text that is new needs an owner, so an op with both forms makes
// strings itself; a view (Identity) does so with what is no tensor.
inline bool is_evaluated(const Graph& graph, const Node& node) {
  if (node.def->evaluate == nullptr) return false;
  const bool is_view = std::ranges::any_of(node.def->aliases, [](const Alias& alias) { return alias.kind == AliasKind::kView; });
  if (node.def->cpu == nullptr && !is_view) return true;
  const auto is_no_tensor = [&](ValueId id) { return id != kNoValue && graph.value(id).type.container != Container::kTensor; };
  const auto is_new_text = [&](ValueId id) { return id != kNoValue && !is_view && graph.value(id).type.dtype == DType::kString; };
  return std::ranges::any_of(node.inputs, is_no_tensor) || std::ranges::any_of(node.outputs, is_new_text);
}

// No kernel of the CPU computes in f16 or bf16: runtime/passes/half_widening.h helps such a node.
inline bool cpu_computes(const Graph& graph, const Node& node) {
  const bool copies = node.def->name == "CopyToDevice" || node.def->name == "CopyToHost";
  if (node.def->elements != Elements::kComputed || copies || node.def->cpu == nullptr) return true;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (reads_content(node, i) && is_half(graph.value(node.inputs[i]).type.dtype)) return false;
  return std::ranges::none_of(node.outputs, [&](ValueId id) { return id != kNoValue && is_half(graph.value(id).type.dtype); });
}

// Twins that take fewer types than most: products and their gradients are for floats, Pow is for floats, i32 and i64, Max and Min are not for
// bool.
inline bool twin_takes(std::string_view op, DType t) {
  if (op.ends_with("MatMul") || op.ends_with("Gemm")) return is_float(t);
  if (op == "Pow") return t != DType::kU8 && t != DType::kI8;
  return t != DType::kBool || (op != "ReduceMax" && op != "ReduceMin");
}

// Random numbers are drawn on the CPU: Dropout with a training_mode that is not constantly false.
inline bool draws(const Graph& graph, const Node& node) {
  if (node.def->name != "Dropout" || node.inputs.size() < 3 || node.inputs[2] == kNoValue) return false;
  const Value& mode = graph.value(node.inputs[2]);
  return mode.kind != ValueKind::kConstant || mode.data.elements() != 1 || mode.data.as<bool>()[0];
}

// A twin on the GPU computes in floats, i32, i64, u8, i8 and bool; it moves other numbers, and never has text.
inline bool gpu_takes(const Graph& graph, const Node& node) {
  const auto is_taken = [&](ValueId id) {
    if (id == kNoValue) return true;
    const DType t = graph.value(id).type.dtype;
    const bool only_moved = t == DType::kI16 || t == DType::kU16 || t == DType::kU32 || t == DType::kU64 || is_narrow(t);
    return t != DType::kString && twin_takes(node.def->name, t) && (!only_moved || node.def->elements == Elements::kMoved);
  };
  return !draws(graph, node) && std::ranges::all_of(node.inputs, is_taken) && std::ranges::all_of(node.outputs, is_taken);
}

}  // namespace tandem
