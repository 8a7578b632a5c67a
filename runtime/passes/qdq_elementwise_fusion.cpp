// Elementwise arithmetic between DequantizeLinear and QuantizeLinear, with the same bits:
//
//   DQ(x) -> functions of x and of numbers -> Q    =>   tandem.ByteTable(x, table)     the table: these nodes on all 256 values
//   of x DQ(a), DQ(b) -> Add | Mul (-> Relu) -> Q       =>   tandem.QuantizedAdd | QuantizedMul (-> ByteTable)
//
// A function of one quantized tensor may be any number of nodes, x * sigmoid(x) too. Rounding is monotone, so that Relu on
// quantized numbers is a clamp at their zero point; it is no node at all where that is their lowest number.
#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/elementwise_nodes.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/quantized_values.h"

namespace tandem {
namespace {

constexpr size_t kMostNodes = 24;

bool is_function(const Node& node) {
  return node.outputs.size() == 1 && (is_elementwise(*node.def) || (node.def->domain.empty() && node.def->name == "Identity"));
}

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes), pattern_(graph) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      if (const auto y = quantized_form(graph_, graph_.nodes[n])) changes += fuse_function(n, *y) || fuse_binary(n, *y);
    pattern_.finish();
    if (changes > 0) dead_code_pass.apply(graph_);
    return changes;
  }

 private:
  // The one quantized tensor that a value is a function of, and the nodes on the way, first to last.
  struct Function {
    ValueId x = kNoValue;
    std::vector<ValueId> leaves;
    std::vector<size_t> nodes;
  };

  std::optional<Function> function_of(size_t anchor) const {
    Function f;
    std::vector<size_t> open = {anchor};
    for (size_t at = 0; at < open.size(); ++at)
      for (ValueId id : graph_.nodes[open[at]].inputs)
        if (id != kNoValue && !follow(id, f, open)) return std::nullopt;
    if (f.x == kNoValue) return std::nullopt;
    std::ranges::sort(open);
    f.nodes = std::move(open);
    return f;
  }

  bool follow(ValueId id, Function& f, std::vector<size_t>& open) const {
    const Value& value = graph_.value(id);
    if (value.kind == ValueKind::kConstant) return is_one_number(id);
    const Node* node = pattern_.maker(id);
    if (!node) return false;
    if (const auto form = dequantized_form(graph_, *node); form && form->per_tensor()) {
      const bool is_constant = graph_.value(form->integers).kind == ValueKind::kConstant;
      if (is_constant ? !is_one_number(form->integers) : f.x != kNoValue && f.x != form->integers) return false;
      if (!is_constant) f.x = form->integers;
      f.leaves.push_back(id);
      return true;
    }
    const auto n = static_cast<size_t>(node - graph_.nodes.data());
    if (!is_function(*node) || open.size() >= kMostNodes) return false;
    if (std::ranges::find(open, n) == open.end()) open.push_back(n);
    return true;
  }

  bool is_one_number(ValueId id) const { return graph_.value(id).data.elements() == 1; }

  // Numbers that have no more axes than x leave its shape as it is, which is known then even where its sizes are not.
  bool keeps_shape(const Function& f, size_t anchor, const Cut& cut) const {
    const auto fits = [&](ValueId leaf) { return pattern_.rank(pattern_.maker(leaf)->inputs[0]) <= pattern_.rank(f.x); };
    return pattern_.keep_shape_of(f.x, anchor, cut) && std::ranges::all_of(f.leaves, fits);
  }

  bool fuse_function(size_t anchor, const QuantizedForm& y) {
    const auto f = function_of(anchor);
    if (!f) return false;
    const Cut cut = pattern_.cut(anchor, f->leaves);
    if (!pattern_.same_shape(f->x, y.integers) && !keeps_shape(*f, anchor, cut)) return false;
    if (!cut) {
      notes_.near_miss(graph_, graph_.nodes[anchor], "is no table of 256 numbers: " + cut.obstacle);
      return false;
    }
    const auto table = table_of(*f);
    if (!table) return false;
    Node fused;
    fused.def = &newest_op("ByteTable", "tandem");
    fused.inputs = {f->x, pattern_.add_constant("table", *table)};
    pattern_.replace(anchor, cut, std::move(fused));
    return true;
  }

  // What the nodes make of all values of x, in the order of bytes: a graph of their own, folded.
  std::optional<Tensor> table_of(const Function& f) const {
    Graph alone;
    std::map<ValueId, ValueId> values;
    Tensor all(graph_.value(f.x).type.dtype, {256});
    for (size_t i = 0; i < 256; ++i) all.view().data[i] = static_cast<std::byte>(i);
    values[f.x] = alone.add_constant("x", all);
    const auto own = [&](ValueId id) {
      if (id == kNoValue || values.contains(id)) return id == kNoValue ? id : values.at(id);
      const Tensor& data = graph_.value(id).data;
      return values[id] = alone.add_constant("c", data.shape().rank() > 1 ? data.reshaped({1}) : data);
    };
    const auto copy = [&](const Node& node) {
      std::vector<ValueId> inputs;
      for (ValueId id : node.inputs) inputs.push_back(own(id));
      values[node.outputs[0]] = alone.add_node(*node.def, inputs, 1, node.attributes)[0];
    };
    for (ValueId leaf : f.leaves) copy(*pattern_.maker(leaf));
    for (size_t n : f.nodes) copy(graph_.nodes[n]);
    alone.outputs = {values.at(graph_.nodes[f.nodes.back()].outputs[0])};
    dequantization_folding_pass.apply(alone);
    const Value& y = alone.value(alone.outputs[0]);
    return y.kind == ValueKind::kConstant && y.data.elements() == 256 ? std::optional(y.data) : std::nullopt;
  }

  bool fuse_binary(size_t anchor, const QuantizedForm& y) {
    const Node* node = pattern_.maker(graph_.nodes[anchor].inputs[0]);
    const bool relu = node && PatternGraph::is(*node, "Relu");
    if (relu) node = pattern_.maker(node->inputs[0]);
    if (!node || (!PatternGraph::is(*node, "Add") && !PatternGraph::is(*node, "Mul"))) return false;
    std::vector<QuantizedForm> forms;
    std::vector<ValueId> leaves;
    for (ValueId id : node->inputs) {
      const Node* dequantize = pattern_.maker(id, "DequantizeLinear");
      const auto form = dequantize ? dequantized_form(graph_, *dequantize) : std::nullopt;
      if (!form || !form->per_tensor()) continue;
      forms.push_back(*form);
      leaves.push_back(id);
    }
    if (forms.empty()) return false;
    const std::string name(node->def->name);
    std::string obstacle =
        forms.size() == 2 ? "" : "one of its operands is not DequantizeLinear of 8-bit integers by one constant scale";
    const Cut cut = pattern_.cut(anchor, leaves);
    if (obstacle.empty()) obstacle = cut.obstacle;
    if (!obstacle.empty()) {
      notes_.near_miss(graph_, *node, "not run on integers: " + obstacle);
      return false;
    }
    put_binary(anchor, cut, "Quantized" + name, forms, y, relu);
    return true;
  }

  void put_binary(size_t anchor, const Cut& cut, std::string_view op, const std::vector<QuantizedForm>& x, const QuantizedForm& y,
                  bool relu) {
    const bool is_signed = pattern_.type(y.integers).dtype == DType::kI8;
    const int64_t zero = zero_number(graph_, y);
    Node fused;
    fused.def = &newest_op(op, "tandem");
    fused.inputs = {x[0].integers,
                    x[0].scale,
                    zero_or_new(pattern_, x[0]),
                    x[1].integers,
                    x[1].scale,
                    zero_or_new(pattern_, x[1]),
                    y.scale,
                    zero_or_new(pattern_, y)};
    if (relu && zero > (is_signed ? -128 : 0)) {
      const ValueId sum = pattern_.emit_before(anchor, *fused.def, fused.inputs);
      fused.def = &newest_op("ByteTable", "tandem");
      fused.inputs = {sum, pattern_.add_constant("relu", clamped_below(zero, is_signed))};
    }
    pattern_.replace(anchor, cut, std::move(fused));
  }

  static Tensor clamped_below(int64_t zero, bool is_signed) {
    Tensor table(is_signed ? DType::kI8 : DType::kU8, {256});
    for (int i = 0; i < 256; ++i) {
      const int64_t number = is_signed ? static_cast<int8_t>(i) : i;
      table.view().data[i] = static_cast<std::byte>(std::max(number, zero));
    }
    return table;
  }

  Graph& graph_;
  PassNotes& notes_;
  PatternGraph pattern_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass qdq_elementwise_fusion_pass = {
    "qdq_elementwise_fusion", "run functions between DequantizeLinear and QuantizeLinear by tables, sums and products on bytes",
    apply};

}  // namespace tandem
