// Graph -> ModelProto, in the order of the graph's own lists, so that the same graph gives the same bytes.
#include <algorithm>
#include <climits>
#include <set>

#include "onnx.pb.h"
#include "runtime/io/file.h"
#include "runtime/onnx/attribute_proto.h"
#include "runtime/onnx/onnx.h"
#include "runtime/onnx/standard_ops.h"
#include "runtime/onnx/tensor_proto.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

using namespace tandem_onnx_proto;

// The IR version that came with an opset of ai.onnx, 10 at least.
constexpr int ir_version(int opset) { return opset <= 22 ? 10 : std::min(13, opset - 12); }

// The newest opset of a domain, up to `newest` (or the first after it, if a node needs that), in which the definitions of all its nodes
// are in force; 0 if no node is of that domain.
int common_opset(const Graph& graph, std::string_view domain, int newest) {
  const Node *youngest = nullptr, *oldest = nullptr;
  for (const Node& node : graph.nodes) {
    if (node.def->domain != domain) continue;
    if (!youngest || node.def->since > youngest->def->since) youngest = &node;
    if (!oldest || node.def->until < oldest->def->until) oldest = &node;
  }
  if (!youngest) return 0;
  int opset = std::max(newest, youngest->def->since);
  if (oldest->def->until <= opset) opset = oldest->def->until - 1;
  require(youngest->def->since <= opset, "no opset suits both of two nodes (node, op, from opset; node, op, before opset)",
          youngest->name, youngest->def->name, youngest->def->since, oldest->name, oldest->def->name, opset + 1);
  return opset;
}

void add_opset(ModelProto& model, std::string_view domain, int version) {
  auto* opset = model.add_opset_import();
  opset->set_domain(std::string(domain));
  opset->set_version(version);
}

void write_value_info(const Value& value, ValueInfoProto& info) {
  info.set_name(value.name);
  auto* type = info.mutable_type()->mutable_tensor_type();
  type->set_elem_type(static_cast<int>(value.type.dtype));
  if (!value.type.dims) return;
  type->mutable_shape();  // a scalar has a shape too
  for (const Dim& dim : *value.type.dims) {
    auto* to = type->mutable_shape()->add_dim();
    if (dim.known())
      to->set_dim_value(dim.size);
    else if (!dim.symbol.empty())
      to->set_dim_param(dim.symbol);
  }
}

// Trailing absent inputs and outputs are left out, others are written as empty names.
template <class Add>
void write_names(const Graph& graph, std::vector<ValueId> ids, Add add) {
  while (!ids.empty() && ids.back() == kNoValue) ids.pop_back();
  for (ValueId id : ids) add(id == kNoValue ? std::string() : graph.value(id).name);
}

void write_node(const Graph& graph, const Node& node, NodeProto& proto) {
  proto.set_name(node.name);
  proto.set_op_type(std::string(node.def->name));
  proto.set_domain(std::string(node.def->domain));
  write_names(graph, node.inputs, [&](std::string name) { proto.add_input(std::move(name)); });
  write_names(graph, node.outputs, [&](std::string name) { proto.add_output(std::move(name)); });
  for (const auto& [key, attribute] : node.attributes) write_attribute(key, attribute, *proto.add_attribute());
}

void write_graph(const Graph& graph, GraphProto& proto) {
  proto.set_name(graph.name.empty() ? "main" : graph.name);
  for (const Value& value : graph.values)
    if (value.kind == ValueKind::kConstant || value.kind == ValueKind::kState)
      write_tensor(value.data, value.name, *proto.add_initializer());
  for (ValueId id : graph.inputs) write_value_info(graph.value(id), *proto.add_input());
  for (const Node& node : graph.nodes) write_node(graph, node, *proto.add_node());
  std::set<ValueId> seen;
  for (ValueId id : graph.outputs) {
    require(seen.insert(id).second, "a value is an output of the graph twice", graph.value(id).name);
    write_value_info(graph.value(id), *proto.add_output());
  }
}

}  // namespace

std::string serialize_onnx(const Graph& graph) {
  const Graph standard = with_standard_ops(graph);
  ModelProto model;
  model.set_producer_name("tandem");
  const int opset = common_opset(standard, "", kOnnxOpset), ml_opset = common_opset(standard, "ai.onnx.ml", kOnnxMlOpset);
  add_opset(model, "", opset ? opset : kOnnxOpset);
  model.set_ir_version(ir_version(opset));
  if (ml_opset) add_opset(model, "ai.onnx.ml", ml_opset);
  std::set<std::string_view> others;
  for (const Node& node : standard.nodes)
    if (!node.def->domain.empty() && node.def->domain != "ai.onnx.ml") others.insert(node.def->domain);
  for (std::string_view domain : others) add_opset(model, domain, common_opset(standard, domain, 1));
  for (const auto& [key, text] : graph.metadata) {
    auto* entry = model.add_metadata_props();
    entry->set_key(key);
    entry->set_value(text);
  }
  write_graph(standard, *model.mutable_graph());
  const size_t bytes = model.ByteSizeLong();
  require(bytes <= size_t{INT_MAX}, "the model is too large for one ONNX file (bytes, limit)", bytes, INT_MAX);
  return model.SerializeAsString();
}

void save_onnx(const Graph& graph, const std::filesystem::path& path) { write_file(path, serialize_onnx(graph)); }

}  // namespace tandem
