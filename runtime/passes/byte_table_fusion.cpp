// What is a function of one tensor of bytes is one table:
//
//   QuantizedAdd | QuantizedMul of x, or a ByteTable of it, and x, or a ByteTable of it    =>   ByteTable(x)      x * sigmoid(x),
//   as exported ByteTable of a ByteTable of x                                                          =>   ByteTable(x)
//   ByteTable(x) that changes no byte                                                      =>   x
//
// The table is what these nodes make of all 256 values, so the bits stay. Scales and zero points are constants.
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

bool is_table(const Node& node) { return node.def->domain == "tandem" && node.def->name == "ByteTable"; }
bool is_binary(const Node& node) {
  return node.def->domain == "tandem" && (node.def->name == "QuantizedAdd" || node.def->name == "QuantizedMul");
}

class Fusion {
 public:
  explicit Fusion(Graph& graph) : graph_(graph), producers_(graph.producers()) {}

  int run() {
    int changes = 0;
    for (Node& node : graph_.nodes) changes += fuse(node);
    changes += drop_identities();
    if (changes > 0) dead_code_pass.apply(graph_);
    return changes;
  }

 private:
  int drop_identities() {
    ValueReplacement replacement(graph_);
    int changes = 0;
    for (const Node& node : graph_.nodes)
      if (is_table(node) && changes_nothing(node)) changes += replacement.replace(node.outputs[0], node.inputs[0]);
    replacement.apply();
    return changes;
  }
  bool changes_nothing(const Node& table) const {
    if (!is_constant(table.inputs[1])) return false;
    const Tensor& bytes = graph_.value(table.inputs[1]).data;
    if (bytes.dtype() != graph_.value(table.inputs[0]).type.dtype) return false;
    for (size_t i = 0; i < 256; ++i)
      if (bytes.view().data[i] != static_cast<std::byte>(i)) return false;
    return true;
  }

  bool is_constant(ValueId id) const { return graph_.value(id).kind == ValueKind::kConstant; }

  // The table that makes a value; null if none does.
  const Node* table_of(ValueId id) const {
    const int n = producers_[static_cast<size_t>(id)];
    const Node* node = n < 0 ? nullptr : &graph_.nodes[static_cast<size_t>(n)];
    return node && is_table(*node) && is_constant(node->inputs[1]) ? node : nullptr;
  }
  ValueId root(ValueId id) const {
    const Node* table = table_of(id);
    return table ? table->inputs[0] : id;
  }

  bool fuse(Node& node) {
    const bool one = is_table(node) && table_of(node.inputs[0]) && is_constant(node.inputs[1]);
    const bool two = is_binary(node) && root(node.inputs[0]) == root(node.inputs[3]);
    if (!one && !two) return false;
    const ValueId x = root(node.inputs[0]);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] == kNoValue || (root(node.inputs[i]) != x && !is_constant(node.inputs[i]))) return false;
    if (is_constant(x)) return false;
    const Tensor table = made_of_all_bytes(node, x);
    if (!table || table.elements() != 256) return false;
    node.inputs = {x, graph_.add_constant("table", table)};
    node.def = &newest_op("ByteTable", "tandem");
    node.attributes.clear();
    return true;
  }

  // What `node` makes if x is all bytes in order.
  Tensor made_of_all_bytes(const Node& node, ValueId x) const {
    Tensor all(graph_.value(x).type.dtype, {256});
    for (size_t i = 0; i < 256; ++i) all.view().data[i] = static_cast<std::byte>(i);
    Graph alone;
    const ValueId bytes = alone.add_constant("x", all);
    const auto number = [&](ValueId id) { return alone.add_constant("c", graph_.value(id).data); };
    std::vector<ValueId> inputs;
    for (ValueId id : node.inputs) {
      const Node* table = table_of(id);
      if (table)
        inputs.push_back(alone.add_node(*table->def, {bytes, number(table->inputs[1])}, 1)[0]);
      else
        inputs.push_back(id == x ? bytes : number(id));
    }
    alone.outputs = {alone.add_node(*node.def, inputs, 1, node.attributes)[0]};
    dequantization_folding_pass.apply(alone);
    return alone.value(alone.outputs[0]).data;
  }

  Graph& graph_;
  std::vector<int> producers_;  // by ValueId, of those that were there at the start
};

int apply(Graph& graph, PassNotes&) { return Fusion(graph).run(); }

}  // namespace

const Pass byte_table_fusion_pass = {"byte_table_fusion", "one table for what is a function of one tensor of bytes", apply};

}  // namespace tandem
