#include "runtime/onnx/standard_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "runtime/graph/op_def.h"
#include "runtime/onnx/node_writer.h"
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
      finish(with_residual("Gemm"));
    else if (op == "FusedConv")
      finish(with_residual("Conv"));
    else if (op == "MatMul" || op == "FusedMatMul")
      finish(product());
    else if (op == "QuantizedConv" || op == "QuantizedMatMul")
      quantized_product(op == "QuantizedConv" ? "Conv" : "MatMul");
    else if (op == "QuantizedAdd" || op == "QuantizedMul")
      quantize(emit(op == "QuantizedAdd" ? "Add" : "Mul", {dequantized(0), dequantized(3)}));
    else if (op == "ByteTable")
      look_up();
    else
      return false;
    return true;
  }

 private:
  Attributes without_activation() const {
    Attributes attributes = node().attributes;
    for (const char* name : {"activation", "activation_alpha", "activation_beta"}) attributes.erase(name);
    return attributes;
  }

  // Gemm or Conv with its own three inputs, and the fourth added.
  ValueId with_residual(std::string_view op) {
    std::vector<ValueId> inputs = node().inputs;
    if (inputs.size() > 3) inputs.resize(3);
    return plus_residual(emit(op, inputs, without_activation()));
  }
  ValueId plus_residual(ValueId y) { return has_input(3) ? emit("Add", {y, node().inputs[3]}) : y; }

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
    return plus_residual(y);
  }

  void clip(ValueId y, float low, float high) {
    if (opset_ < 11)
      emit("Clip", {y}, {{"min", low}, {"max", high}});
    else
      emit("Clip", {y, number(static_cast<double>(low), y), number(static_cast<double>(high), y)});
  }

  // The input, whose scale and zero point follow it, as numbers.
  ValueId dequantized(size_t i, int64_t axis = 0) {
    const auto& in = node().inputs;
    const bool per_axis = graph_.value(in[i + 1]).type.dims && !graph_.value(in[i + 1]).type.dims->empty();
    ValueId zero = in[i + 2];
    if (const Tensor& scale = graph_.value(in[i + 1]).data;
        per_axis && scale && graph_.value(zero).data.elements() != scale.elements()) {
      // One zero point beside many scales: as many.
      const Tensor one = graph_.value(zero).data;
      Tensor many(one.dtype(), scale.shape());
      std::fill_n(many.view().data, many.bytes(), one.view().data[0]);
      zero = graph_.add_constant(node().name + ".zero_point", many);
    }
    return emit("DequantizeLinear", {in[i], in[i + 1], zero}, per_axis ? Attributes{{"axis", axis}} : Attributes{});
  }
  void quantize(ValueId y) {
    emit("QuantizeLinear", {y, node().inputs[6], node().inputs[7]});
    NodeWriter::finish();
  }

  void quantized_product(std::string_view op) {
    Attributes attributes = node().attributes;
    attributes.erase("lowest"), attributes.erase("highest");
    std::vector<ValueId> inputs = {dequantized(0), dequantized(3, op == "Conv" ? 0 : 1)};
    ValueId bias = has_input(8) ? node().inputs[8] : kNoValue;
    if (has_input(9)) bias = emit("DequantizeLinear", {bias, node().inputs[9]}, {{"axis", int64_t{0}}});
    if (bias != kNoValue && op == "Conv") inputs.push_back(bias);
    ValueId y = emit(op, inputs, attributes);
    if (bias != kNoValue && op != "Conv") y = emit("Add", {y, bias});
    quantize(clamped(y));
  }

  ValueId clamped(ValueId y) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float low = get_float("lowest", -kInfinity), high = get_float("highest", kInfinity);
    if (low == -kInfinity && high == kInfinity) return y;
    if (low == 0 && high == kInfinity) return emit("Relu", {y});
    if (opset_ < 11) return emit("Clip", {y}, {{"min", low}, {"max", high}});
    const auto bound = [&](float x) { return std::isinf(x) ? kNoValue : number(static_cast<double>(x), y); };
    return emit("Clip", {y, bound(low), bound(high)});
  }

  void look_up() {
    const ValueId x = node().inputs[0];
    const ValueId index = emit("Cast", {x}, {{"to", static_cast<int64_t>(DType::kI32)}});
    // The table is in the order of bytes: i8 from 0 to 127, then the negative ones, to which negative indices lead.
    emit("Gather", {node().inputs[1], index}, {{"axis", int64_t{0}}});
    NodeWriter::finish();
  }

  void finish(ValueId y) {
    const std::string activation = get_string("activation", "");
    const float alpha = get_float("activation_alpha", 0), beta = get_float("activation_beta", 0);
    if (activation == "GeluTanh")
      emit("Gelu", {y}, {{"approximate", std::string("tanh")}});
    else if (activation == "Clip")
      clip(y, alpha, beta);
    else if (activation == "HardSigmoid")
      emit(activation, {y}, {{"alpha", alpha}, {"beta", beta}});
    else if (activation == "LeakyRelu" || activation == "Elu" || activation == "Swish")
      emit(activation, {y}, {{"alpha", alpha}});
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
