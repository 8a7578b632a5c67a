// Products in bf16 in training on a CPU (PlanOptions::precision): weights, activations and gradients stay f32, and products round what they read,
// forward and backward:
//
//   Gemm | MatMul, with or without an epilogue | tandem.GemmGrad, by one matrix  ->  the same with precision = bf16
//   Conv, with or without an epilogue | tandem.ConvGradInput | tandem.ConvGradWeight, without groups  ->  the same with precision = bf16
//   tandem.FusedAttention | tandem.FusedAttentionGrad  ->  the same with precision = bf16
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

enum class Kind : uint8_t { kProduct, kConv, kAttention };

struct Form {
  std::string_view domain, name, rounding;  // the last: of domain tandem, with the attribute
  Kind kind;
};
constexpr Form kForms[] = {{"", "MatMul", "FusedMatMul", Kind::kProduct},
                           {"", "Gemm", "FusedGemm", Kind::kProduct},
                           {"tandem", "MatMul", "FusedMatMul", Kind::kProduct},
                           {"tandem", "FusedMatMul", "FusedMatMul", Kind::kProduct},
                           {"tandem", "FusedGemm", "FusedGemm", Kind::kProduct},
                           {"tandem", "GemmGrad", "GemmGrad", Kind::kProduct},
                           {"", "Conv", "FusedConv", Kind::kConv},
                           {"tandem", "FusedConv", "FusedConv", Kind::kConv},
                           {"tandem", "ConvGradInput", "ConvGradInput", Kind::kConv},
                           {"tandem", "ConvGradWeight", "ConvGradWeight", Kind::kConv},
                           {"tandem", "FusedAttention", "FusedAttention", Kind::kAttention},
                           {"tandem", "FusedAttentionGrad", "FusedAttentionGrad", Kind::kAttention}};

const Form* form_of(const OpDef& def) {
  const auto* form = std::ranges::find_if(kForms, [&](const Form& f) { return f.domain == def.domain && f.name == def.name; });
  return form == std::end(kForms) ? nullptr : form;
}

bool is_one_product(const Graph& graph, const Node& node) {
  const TensorType& b = graph.value(node.inputs[1]).type;
  return b.dims && b.dims->size() == 2;
}

// What A's leading axes become rows of; a transposed A has none.
bool is_by_rows(const Graph& graph, const Node& node) {
  const TensorType& a = graph.value(node.inputs[0]).type;
  return a.dims && a.dims->size() >= 2 && (a.dims->size() == 2 || NodeContext(node).get_int("transA", 0) == 0);
}

bool has_rounding_kernel(const Graph& graph, const Node& node, Kind kind) {
  if (kind == Kind::kAttention) return true;
  if (kind == Kind::kConv) return NodeContext(node).get_int("group", 1) == 1;
  return is_one_product(graph, node) && is_by_rows(graph, node);
}

int apply(Graph& graph, PassNotes&) {
  const bool trains = std::ranges::any_of(graph.values, [](const Value& value) { return value.kind == ValueKind::kState; });
  if (!trains || !cpu::multiplies_bf16()) return 0;
  int changes = 0;
  for (Node& node : graph.nodes) {
    const Form* form = form_of(*node.def);
    if (!form || graph.value(node.inputs[0]).type.dtype != DType::kF32) continue;
    if (!has_rounding_kernel(graph, node, form->kind)) continue;
    node.def = &newest_op(form->rounding, "tandem");
    node.attributes[std::string(kProductPrecision)] = "bf16";
    ++changes;
  }
  return changes;
}

}  // namespace

const Pass bf16_products_pass = {"bf16_products", "products of a training step round what they read to bf16, for train.precision = bf16", apply};

}  // namespace tandem
