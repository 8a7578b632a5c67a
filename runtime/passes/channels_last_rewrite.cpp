#include "runtime/passes/channels_last_rewrite.h"

#include <map>

#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

constexpr std::string_view kSuffix = ".channels_last";

bool is_op(const Node& node, std::string_view name, std::string_view domain) { return node.def->name == name && node.def->domain == domain; }
bool is_float_conv(const Node& node) { return is_op(node, "Conv", "") || is_op(node, "FusedConv", "tandem"); }
bool is_quantized_conv(const Node& node) { return is_op(node, "QLinearConv", "") || is_op(node, "QuantizedConv", "tandem"); }

std::vector<int64_t> as_list(const Permutation& order) { return {order.begin(), order.end()}; }

// Nodes are written anew. A tensor that convolutions read gets one Transpose for all of them.
class Rewriting {
 public:
  explicit Rewriting(Graph& graph) : graph_(graph) {}

  int run(const std::set<std::string>& left_alone) {
    std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    int changes = 0;
    for (Node& node : nodes) {
      if (has_channels_last_form(graph_, node) && !left_alone.contains(result_name(graph_, node))) {
        write_conv(node);
        ++changes;
      } else {
        graph_.nodes.push_back(std::move(node));
      }
    }
    return changes;
  }

 private:
  size_t rank(ValueId id) const { return graph_.value(id).type.dims->size(); }

  ValueId channels_last(ValueId id) {
    ValueId& known = last_.try_emplace(id, kNoValue).first->second;
    if (known == kNoValue)
      known = graph_.add_node(newest_op("Transpose"), {id}, 1, {{"perm", as_list(inverse(order_to_channels_first(rank(id))))}})[0];
    return known;
  }

  void write_conv(const Node& node) {
    const bool quantized = is_quantized_conv(node);
    std::vector<ValueId> inputs = node.inputs;
    inputs[0] = channels_last(inputs[0]);
    if (!quantized && inputs.size() > 3 && inputs[3] != kNoValue) inputs[3] = channels_last(inputs[3]);
    const ValueId y = node.outputs[0], made = graph_.add_result(graph_.value(y).name + std::string(kSuffix));
    const OpDef& def = newest_op(quantized ? "ChannelsLastQuantizedConv" : "ChannelsLastConv", "tandem");
    graph_.nodes.push_back({&def, node.name, std::move(inputs), {made}, node.attributes});
    infer_types(graph_, graph_.nodes.back());
    graph_.nodes.push_back({&newest_op("Transpose"), node.name, {made}, {y}, {{"perm", as_list(order_to_channels_first(rank(y)))}}});
  }

  Graph& graph_;
  std::map<ValueId, ValueId> last_;  // of a value, what its Transpose makes
};

}  // namespace

bool has_channels_last_form(const Graph& graph, const Node& node) {
  if (!is_float_conv(node) && !is_quantized_conv(node)) return false;
  const auto is_constant = [&](size_t i) {
    return i >= node.inputs.size() || node.inputs[i] == kNoValue || graph.value(node.inputs[i]).kind == ValueKind::kConstant;
  };
  const TensorType &x = graph.value(node.inputs[0]).type, &y = graph.value(node.outputs[0]).type;
  if (is_constant(0) || !x.dims || !y.dims || x.dims->size() < 3 || x.dims->size() > 5 || y.dims->size() != x.dims->size()) return false;
  if (is_quantized_conv(node)) return is_constant(3) && is_constant(5);
  return x.dtype == DType::kF32 && is_constant(1);
}

const std::string& result_name(const Graph& graph, const Node& node) { return graph.value(node.outputs[0]).name; }

bool is_channels_last_conv(const Node& node) {
  return is_op(node, "ChannelsLastConv", "tandem") || is_op(node, "ChannelsLastQuantizedConv", "tandem");
}

std::string name_before(const Graph& graph, const Node& node) {
  const std::string& name = result_name(graph, node);
  return name.substr(0, name.rfind(kSuffix));
}

int write_channels_last(Graph& graph, const std::set<std::string>& left_alone) { return Rewriting(graph).run(left_alone); }

}  // namespace tandem
