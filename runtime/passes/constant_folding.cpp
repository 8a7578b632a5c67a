// Computes once what depends on constants only, with the ops' own CPU kernels; and what depends on known shapes only (Shape, Size
// and the integer arithmetic on them), by the ops' own shape rules.
//
// A result more than kMostGrowth bytes larger than what it is made from stays a node: an Expand must not become a file full of
// zeros. DequantizeLinear is folded by a second pass, after those that run it on integers.
#include <algorithm>
#include <utility>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/cpu_types.h"
#include "runtime/passes/half_widening.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

constexpr size_t kMostGrowth = 1 << 20;

// What the passes on quantized values (qdq_*.cpp) look for.
bool is_dequantized_weight(const Node& node) { return node.def->domain.empty() && node.def->name == "DequantizeLinear"; }

class Folder {
 public:
  Folder(Graph& graph, bool keeps_quantized)
      : graph_(graph), keeps_quantized_(keeps_quantized), contents_(graph.values.size()), shapes_(graph.values.size()), readers_(graph.values.size()) {
    for (const Node& node : graph.nodes) count(node.inputs);
    count(graph.inputs), count(graph.outputs);
  }

  // True if all outputs of the node are constants now. What only folded nodes read goes at once: exporters write long chains of large tables.
  bool fold(const Node& node) {
    if (!become_constants(node)) return false;
    for (ValueId id : node.inputs)
      if (id != kNoValue && --readers_[static_cast<size_t>(id)] == 0) value(id).data = {};
    return true;
  }

 private:
  Value& value(ValueId id) { return graph_.value(id); }
  Shape& shape(ValueId id) { return shapes_[static_cast<size_t>(id)]; }

  void count(const std::vector<ValueId>& read) {
    for (ValueId id : read)
      if (id != kNoValue) ++readers_[static_cast<size_t>(id)];
  }

  bool become_constants(const Node& node) {
    infer_types(graph_, node, &contents_);
    if (node.def->stateful || node.def->name == "Dropout" || (keeps_quantized_ && is_dequantized_weight(node))) return false;
    if (fold_known_content(node)) return true;
    try {
      if (!cpu_computes(graph_, node)) return fold_in_f32(node);
      return can_run(node) && store(node, run(node));
    } catch (const Error&) {
      return false;  // it will fail in the same way when it is run, if it is
    }
  }

  void become_constant(ValueId id, Tensor content) {
    Value& result = value(id);
    result.kind = ValueKind::kConstant;
    result.type = {content.dtype(), to_dims(content.shape())};
    result.data = std::move(content);
  }

  bool fold_known_content(const Node& node) {
    if (node.outputs.size() != 1 || node.outputs[0] == kNoValue) return false;
    const TensorType& type = value(node.outputs[0]).type;
    const auto& elements = contents_[static_cast<size_t>(node.outputs[0])];
    if (!elements || type.dtype != DType::kI64 || !type.dims || !std::ranges::all_of(*elements, &Dim::known)) return false;
    const auto shape = fixed_shape(*type.dims);
    if (!shape || shape->elements() != static_cast<int64_t>(elements->size())) return false;
    std::vector<int64_t> numbers;
    for (const Dim& element : *elements) numbers.push_back(element.size);
    become_constant(node.outputs[0], Tensor::of(*shape, numbers));
    return true;
  }

  // Constant inputs, shapes that are numbers, bounded growth. Fills in shapes_.
  bool can_run(const Node& node) {
    if (is_evaluated(graph_, node)) return false;
    size_t bytes_in = 0, bytes_out = 0;
    bool has_input = node.def->name == "Constant";  // others without inputs make random numbers
    for (ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      if (value(id).kind != ValueKind::kConstant) return false;
      has_input = true;
      bytes_in += value(id).data.bytes();
      shape(id) = value(id).data.shape();
    }
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const TensorType& type = value(id).type;
      const auto fixed = type.dims ? fixed_shape(*type.dims) : std::nullopt;
      if (!fixed) return false;
      shape(id) = *fixed;
      const int64_t bytes = checked_mul(fixed->elements(), static_cast<int64_t>(size_of(type.dtype)), "bytes of a tensor");
      if (static_cast<size_t>(bytes) > bytes_in + kMostGrowth) return false;
      bytes_out += static_cast<size_t>(bytes);
    }
    return has_input && bytes_out <= bytes_in + kMostGrowth;
  }

  // A node on f16 or bf16: as a plan for the CPU would run it, between casts.
  bool fold_in_f32(const Node& node);

  std::vector<Tensor> run(const Node& node) {
    std::vector<Tensor> results(node.outputs.size());
    if (!node.def->cpu) {
      const bool is_view =
          node.def->aliases.size() == 1 && node.def->aliases[0].kind == AliasKind::kView && !node.def->view_offset_bytes;
      require(is_view && node.outputs.size() == 1, "no kernel");
      results[0] = value(node.inputs[static_cast<size_t>(node.def->aliases[0].input)]).data.reshaped(shape(node.outputs[0]));
      return results;
    }
    std::vector<ConstTensorView> in;
    std::vector<TensorView> out;
    for (ValueId id : node.inputs) in.push_back(id == kNoValue ? ConstTensorView{} : std::as_const(value(id).data).view());
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (id != kNoValue) results[i] = Tensor(value(id).type.dtype, shape(id));
      out.push_back(id == kNoValue ? TensorView{} : results[i].view());
    }
    const BoundKernel kernel = node.def->cpu(BindContext(graph_, node, shapes_, 1));
    Tensor workspace(DType::kU8, {static_cast<int64_t>(kernel.workspace)});
    KernelContext context;
    context.workspace = {workspace.view().data, kernel.workspace};
    kernel.run(context, in, out);
    for (Tensor& result : results)
      if (result.dtype() == DType::kString) result = result.clone();  // its text may be the kernel's own
    return results;
  }

  bool store(const Node& node, std::vector<Tensor> results) {
    for (size_t i = 0; i < results.size(); ++i)
      if (results[i]) become_constant(node.outputs[i], std::move(results[i]));
    return true;
  }

  Graph& graph_;
  bool keeps_quantized_;
  InferenceContext::KnownContents contents_;
  std::vector<Shape> shapes_;  // by ValueId; only those of the node at hand are filled in
  std::vector<int> readers_;   // by ValueId: nodes that are not folded, the graph's own lists
};

int fold_constants(Graph& graph, bool keeps_quantized = false);

bool Folder::fold_in_f32(const Node& node) {
  const auto is_constant = [&](ValueId id) { return id == kNoValue || value(id).kind == ValueKind::kConstant; };
  if (node.inputs.empty() || !std::ranges::all_of(node.inputs, is_constant)) return false;
  Graph alone;
  std::vector<ValueId> inputs;
  for (ValueId id : node.inputs) inputs.push_back(id == kNoValue ? id : alone.add_constant(value(id).name, value(id).data));
  alone.outputs = alone.add_node(*node.def, inputs, static_cast<int>(node.outputs.size()), node.attributes);
  widen_halves(alone, {true});
  if (!std::ranges::all_of(alone.nodes, [&](const Node& part) { return cpu_computes(alone, part); })) return false;
  fold_constants(alone);
  if (!alone.nodes.empty()) return false;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoValue) become_constant(node.outputs[i], alone.value(alone.outputs[i]).data);
  return true;
}

int fold_constants(Graph& graph, bool keeps_quantized) {
  Folder folder(graph, keeps_quantized);
  std::vector<bool> folded(graph.nodes.size());
  for (size_t n = 0; n < graph.nodes.size(); ++n) folded[n] = folder.fold(graph.nodes[n]);
  erase_nodes(graph, folded);
  drop_unused_values(graph);
  return static_cast<int>(std::ranges::count(folded, true));
}

int apply(Graph& graph, PassNotes&) { return fold_constants(graph, true); }
int apply_to_all(Graph& graph, PassNotes&) { return fold_constants(graph); }

}  // namespace

const Pass constant_folding_pass = {"constant_folding",
                                    "compute once what depends on constants only, but for dequantized weights", apply};
const Pass dequantization_folding_pass = {"dequantization_folding", "compute once what no node on integers took", apply_to_all};

}  // namespace tandem
