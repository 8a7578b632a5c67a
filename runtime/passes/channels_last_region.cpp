#include "runtime/passes/channels_last_region.h"

#include <numeric>

#include "runtime/passes/channels_last_rewrite.h"

namespace tandem {
namespace {

constexpr double kAssumedSize = 16;  // of a dimension that is no number

double elements(const TensorType& type) {
  double n = 1;
  for (const Dim& dim : *type.dims) n *= dim.known() ? static_cast<double>(dim.size) : kAssumedSize;
  return n;
}

// Values that are images, joined by the nodes that read and make them.
class Regions {
 public:
  explicit Regions(const Graph& graph) : graph_(graph), parents_(graph.values.size()), gains_(graph.values.size()) {
    std::iota(parents_.begin(), parents_.end(), 0);
    for (const Node& node : graph.nodes)
      if (!is_layout_change(graph, node)) join(node);
    for (const Node& node : graph.nodes) {
      if (is_channels_last_conv(node)) gain(node.outputs[0]) += patches(node);
      if (!is_layout_change(graph, node)) continue;
      const Permutation order = *permutation_of(node, type(node.outputs[0]).dims->size());
      const bool to_first = order == order_to_channels_first(order.size());
      gain(to_first ? node.inputs[0] : node.outputs[0]) -= elements(type(node.outputs[0]));
    }
  }
  double& gain(ValueId id) { return gains_[find(static_cast<size_t>(id))]; }

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }
  bool is_image(ValueId id) const {
    if (id == kNoValue || graph_.value(id).kind == ValueKind::kConstant || !type(id).dims) return false;
    return type(id).dims->size() >= 3 && type(id).dims->size() <= 5;
  }

  // Elements that are copied into patches with channels first: one a tap, channel of the input and pixel of the output.
  double patches(const Node& node) const {
    const TensorType &x = type(node.inputs[0]), &y = type(node.outputs[0]), &w = type(node.inputs[node.inputs.size() > 4 ? 3 : 1]);
    if (!w.dims) return 0;
    double n = elements(y) / elements({y.dtype, Dims{y.dims->back()}}) * elements({x.dtype, Dims{x.dims->back()}});
    for (size_t a = 2; a < w.dims->size(); ++a) n *= elements({w.dtype, Dims{(*w.dims)[a]}});
    return n;
  }

  // A node whose result has as many axes as its image is taken to keep the layout.
  void join(const Node& node) {
    ValueId first = kNoValue;
    for (const auto* list : {&node.inputs, &node.outputs})
      for (ValueId id : *list) {
        if (!is_image(id)) continue;
        if (first == kNoValue) first = id;
        if (type(id).dims->size() == type(first).dims->size()) parents_[find(static_cast<size_t>(id))] = find(static_cast<size_t>(first));
      }
  }
  size_t find(size_t v) {
    while (parents_[v] != v) v = parents_[v] = parents_[parents_[v]];
    return v;
  }

  const Graph& graph_;
  std::vector<size_t> parents_;  // by ValueId
  std::vector<double> gains_;    // by ValueId, of the first of a region
};

}  // namespace

bool is_layout_change(const Graph& graph, const Node& node) {
  if (node.def->name != "Transpose" || !node.def->domain.empty()) return false;
  const auto& dims = graph.value(node.outputs[0]).type.dims;
  const auto order = dims && dims->size() >= 3 ? permutation_of(node, dims->size()) : std::nullopt;
  if (!order) return false;
  const Permutation to_first = order_to_channels_first(dims->size());
  return *order == to_first || *order == inverse(to_first);
}

std::vector<std::string> convolutions_that_do_not_pay(const Graph& graph) {
  Regions regions(graph);
  std::vector<std::string> names;
  for (const Node& node : graph.nodes)
    if (is_channels_last_form(graph, node) && regions.gain(node.outputs[0]) < 0) names.push_back(name_before(graph, node));
  return names;
}

}  // namespace tandem
