// NodeProto -> Node: attributes, bodies, inputs by name; constants and gradients, which are no nodes afterwards.
#include <ranges>

#include "runtime/graph/contexts.h"
#include "runtime/graph/op_def.h"
#include "runtime/onnx/attribute_proto.h"
#include "runtime/onnx/body_types.h"
#include "runtime/onnx/constant_node.h"
#include "runtime/onnx/contrib.h"
#include "runtime/onnx/functions.h"
#include "runtime/onnx/gradient_node.h"
#include "runtime/onnx/importer.h"
#include "runtime/onnx/old_attributes.h"
#include "runtime/onnx/normalization_scales.h"
#include "runtime/onnx/quantization_scales.h"
#include "runtime/ops/all_ops.h"

namespace tandem {

using namespace tandem_onnx_proto;

Attributes Importer::read_attributes(const NodeProto& proto) const {
  Attributes attributes;
  for (const AttributeProto& attribute : proto.attribute())
    if (!attribute.has_g()) require(attributes.emplace(attribute.name(), read_attribute(attribute, files_, limits_)).second, "attribute is given twice",
            attribute.name());
  return attributes;
}

// A branch that is not taken may be wrong for the shapes at hand, and the second iteration of a loop may bring others: then they are forgotten,
// and only a run of the body tells. So are those of all bodies within, or each would be read twice for every one around it.
Subgraph Importer::read_body(GraphProto& body, const Node& node, std::vector<ValueId>& captured) {
  const auto read = [&](bool forgets_shapes) {
    Importer importer(*this, body, formal_inputs(graph_, node));
    importer.forgets_shapes_ = forgets_shapes;
    Subgraph graph = std::make_shared<const Graph>(importer.run());
    if (!forgets_shapes && changes_sizes(*graph, node)) return Subgraph();
    captured.insert(captured.end(), importer.captured_.begin(), importer.captured_.end());
    return graph;
  };
  if (forgets_shapes_) return read(true);
  try {
    if (Subgraph graph = read(false)) return graph;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
  }
  return read(true);
}

// The attributes that are graphs, in the order of their names, and the values they take from here.
void Importer::read_bodies(NodeProto& proto, Node& node) {
  std::map<std::string, GraphProto*> bodies;
  for (AttributeProto& attribute : *proto.mutable_attribute())
    if (attribute.has_g())
      require(!node.attributes.contains(attribute.name()) && bodies.emplace(attribute.name(), attribute.mutable_g()).second,
              "attribute is given twice", attribute.name());
  require(bodies.empty() || node.def->evaluate, "the op takes no subgraph");
  for (const auto& [name, body] : bodies) {
    std::vector<ValueId> captured;
    node.attributes[name] = read_body(*body, node, captured);
    node.inputs.insert(node.inputs.end(), captured.begin(), captured.end());
  }
}

// An op on maps takes keys and values for each.
void Importer::add_inputs_of(const NodeProto& proto, Node& node) const {
  for (const std::string& name : proto.input()) {
    const auto map = takes_maps(*node.def) ? maps_.find(name) : maps_.end();
    if (map == maps_.end())
      node.inputs.push_back(lookup(name));
    else
      node.inputs.insert(node.inputs.end(), {map->second.first, map->second.second});
  }
}

void Importer::read_node(NodeProto& proto) try {
  require(proto.input_size() <= limits_.node_arity && proto.output_size() <= limits_.node_arity,
          "too many inputs or outputs (inputs, outputs, limit)", proto.input_size(), proto.output_size(), limits_.node_arity);
  const OpDef* def = defs_.at(key_of(proto));
  if (!def) return is_constant(proto) ? read_constant_node(proto) : read_gradient_node(proto);
  Node node{def, proto.name().empty() ? proto.op_type() : proto.name(), {}, {}, read_attributes(proto)};
  int outputs = proto.output_size();
  if (def->domain.empty()) modernize_attributes(def->name, opset_of_node(proto, opset_of("")), node.attributes, outputs);
  add_inputs_of(proto, node);
  read_bodies(proto, node);
  for (const std::string& name : proto.output() | std::views::take(outputs)) {
    node.outputs.push_back(name.empty() ? kNoValue : graph_.add_result(name));
    if (!name.empty()) bind_name(name, node.outputs.back());
  }
  if (const ContribOp* contrib = find_contrib_op(def->domain, def->name); contrib && def == &contrib->def)
    return expand_contrib(graph_, *contrib, node);
  if (broadcasts_scales(graph_, node)) return append_with_broadcast_scales(graph_, node);
  infer_types(graph_, node);
  check_scales(graph_, node);
  graph_.nodes.push_back(std::move(node));
} catch (const Error& error) {
  throw Error(error.code(), describe(proto) + ": " + error.what());
}

void Importer::read_constant_node(const NodeProto& proto) {
  require(proto.input_size() == 0 && proto.output_size() == 1 && !proto.output(0).empty(), "a Constant has no input and one output");
  bind_name(proto.output(0), graph_.add_constant(proto.output(0), constant_of(read_attributes(proto))));
}

void Importer::read_gradient_node(const NodeProto& proto) {
  Node node{nullptr, "Gradient", {}, {}, read_attributes(proto)};
  const NodeContext context(node);
  const auto ids = [&](const auto& names) {
    std::vector<ValueId> found;
    for (const std::string& name : names) found.push_back(lookup(name));
    return found;
  };
  const std::vector<std::string> y = {context.get_string("y", "")};
  const auto wanted = ids(context.get_strings("xs"));
  require(!y[0].empty() && !wanted.empty(), "Gradient needs the attributes xs and y");
  require(proto.output_size() <= static_cast<int>(wanted.size()), "Gradient has more outputs than xs has names");
  const auto gradients = append_gradient_of(graph_, ids(y)[0], wanted, ids(context.get_strings("zs")), ids(proto.input()));
  for (int i = 0; i < proto.output_size(); ++i) {
    if (proto.output(i).empty()) continue;
    Node named{&newest_op("Identity"), proto.output(i), {gradients[static_cast<size_t>(i)]}, {graph_.add_result(proto.output(i))}, {}};
    bind_name(proto.output(i), named.outputs[0]);
    infer_types(graph_, named);
    graph_.nodes.push_back(std::move(named));
  }
}

}  // namespace tandem
