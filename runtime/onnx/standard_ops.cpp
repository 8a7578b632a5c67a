#include "runtime/onnx/standard_ops.h"

#include <fmt/format.h>

#include <numeric>
#include <set>

#include "runtime/onnx/node_writer.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/plain_attention.h"

namespace tandem {
namespace {

// Writes one internal node as several standard ones. The last of them makes the internal node's output.
class Expansion : private NodeWriter {
 public:
  Expansion(Graph& graph, const Node& node, int opset) : NodeWriter(graph, node, opset) {}

  // False if this op has no standard form.
  bool run() {
    const std::string_view op = node().def->name;
    if (op == "FusedGemm")
      finish(emit("Gemm", node().inputs, without_activation()));
    else if (op == "FusedConv")
      finish(convolution());
    else if (op == "MatMul" || op == "FusedMatMul")
      finish(product());
    else
      return false;
    return true;
  }

 private:
  Attributes without_activation() const {
    Attributes attributes = node().attributes;
    attributes.erase("activation");
    return attributes;
  }

  ValueId convolution() {
    std::vector<ValueId> inputs = node().inputs;
    if (inputs.size() > 3) inputs.resize(3);
    const ValueId y = emit("Conv", inputs, without_activation());
    return has_input(3) ? emit("Add", {y, node().inputs[3]}) : y;
  }

  ValueId operand(int i, std::string_view transpose_attribute) {
    const ValueId id = node().inputs[static_cast<size_t>(i)];
    if (get_int(transpose_attribute, 0) == 0) return id;
    const auto& dims = graph_.value(id).type.dims;
    require(dims && dims->size() >= 2, "a matrix of unknown rank cannot be transposed (value)", graph_.value(id).name);
    std::vector<int64_t> perm(dims->size());
    std::iota(perm.begin(), perm.end(), int64_t{0});
    std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
    return emit("Transpose", {id}, {{"perm", perm}});
  }

  ValueId product() {
    ValueId y = emit("MatMul", {operand(0, "transA"), operand(1, "transB")});
    if (const float alpha = get_float("alpha", 1); alpha != 1) y = emit("Mul", {y, number(static_cast<double>(alpha), y)});
    if (has_input(2)) y = emit("Add", {y, node().inputs[2]});
    return y;
  }

  void finish(ValueId y) {
    const std::string activation = get_string("activation", "");
    if (activation == "Silu")
      emit("Mul", {y, emit("Sigmoid", {y})});
    else if (!activation.empty())
      emit(activation, {y});
    NodeWriter::finish();
  }
};

}  // namespace

Graph with_standard_ops(const Graph& graph, int opset) {
  Graph standard = graph;
  standard.nodes.clear();
  std::set<std::string> refused;
  for (const Node& node : graph.nodes) {
    if (node.def->domain != "tandem")
      standard.nodes.push_back(node);
    else if (node.def->name == "FusedAttention")
      append_plain_attention(standard, node, opset);
    else if (!Expansion(standard, node, opset).run())
      refused.insert(fmt::format("tandem.{} (node '{}')", node.def->name, node.name));
  }
  require(refused.empty(), "these ops have no form in ONNX", fmt::format("{}", fmt::join(refused, ", ")));
  return standard;
}

}  // namespace tandem
