// Products in bf16 in training on a CPU (PlanOptions::precision): weights, activations and gradients stay f32, and products round what they read,
// forward and backward:
//
//   Gemm | MatMul, with or without an epilogue | tandem.GemmGrad, by one matrix  ->  the same with precision = bf16
//
// Only in graphs with states, whose weights change from step to step, and on processors that multiply bf16: bf16_storage is for all others.
// Source: what oneDNN calls the floating-point math mode bf16, torch float32_matmul_precision "medium".
#include <algorithm>

#include "kernels/api/bf16_gemm.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/product_precision.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

// The op that takes the attribute.
const OpDef* form_of(const OpDef& def) {
  if (def.domain == "tandem" && (def.name == "FusedGemm" || def.name == "FusedMatMul" || def.name == "GemmGrad")) return &def;
  if (!def.domain.empty() && def.domain != "tandem") return nullptr;
  if (def.name == "MatMul") return &newest_op("FusedMatMul", "tandem");
  return def.name == "Gemm" ? &newest_op("FusedGemm", "tandem") : nullptr;
}

// Of f32, and B a matrix.
bool is_one_product(const Graph& graph, const Node& node) {
  const TensorType& b = graph.value(node.inputs[1]).type;
  return graph.value(node.inputs[0]).type.dtype == DType::kF32 && b.dims && b.dims->size() == 2;
}

// What A's leading axes become rows of; a transposed A has none.
bool is_by_rows(const Graph& graph, const Node& node) {
  const TensorType& a = graph.value(node.inputs[0]).type;
  return a.dims && a.dims->size() >= 2 && (a.dims->size() == 2 || NodeContext(node).get_int("transA", 0) == 0);
}

int apply(Graph& graph, PassNotes&) {
  const bool trains = std::ranges::any_of(graph.values, [](const Value& value) { return value.kind == ValueKind::kState; });
  if (!trains || !cpu::multiplies_bf16()) return 0;
  int changes = 0;
  for (Node& node : graph.nodes) {
    const OpDef* form = form_of(*node.def);
    if (!form || !is_one_product(graph, node) || !is_by_rows(graph, node)) continue;
    node.def = form;
    node.attributes[std::string(kProductPrecision)] = "bf16";
    ++changes;
  }
  return changes;
}

}  // namespace

const Pass bf16_products_pass = {"bf16_products", "products of a training step round what they read to bf16, for train.precision = bf16", apply};

}  // namespace tandem
