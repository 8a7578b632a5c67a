// Graph -> ModelProto, in the order of the graph's own lists, so that the same graph gives the same bytes.
#include <algorithm>
#include <climits>
#include <map>
#include <set>

#include "onnx.pb.h"
#include "runtime/io/file.h"
#include "runtime/onnx/attribute_proto.h"
#include "runtime/onnx/external_weights.h"
#include "runtime/onnx/moved_operands.h"
#include "runtime/onnx/onnx.h"
#include "runtime/onnx/older_ops.h"
#include "runtime/onnx/standard_ops.h"
#include "runtime/onnx/tensor_proto.h"
#include "runtime/onnx/value_type.h"
#include "runtime/onnx/younger_words.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

using namespace tandem_onnx_proto;

// The IR version that came with an opset of ai.onnx, 10 at least.
constexpr int ir_version(int opset) { return opset <= 22 ? 10 : std::min(13, opset - 12); }

// Calls f for every node of the graph and of the bodies in it.
template <class F>
void for_each_node(const Graph& graph, const F& f) {
  for (const Node& node : graph.nodes) {
    f(node);
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* body = std::get_if<Subgraph>(&attribute)) for_each_node(**body, f);
  }
}

// The opset in which all that the node says begins.
int since(const Node& node) { return std::max(node.def->since, first_opset_with_words(node)); }

// The newest opset of a domain, up to `newest` (or the first after it, if a node needs that), in which the definitions of all its nodes
// are in force but of those that can be written older; 0 if there are none.
int common_opset(const Graph& graph, std::string_view domain, int newest) {
  const Node *youngest = nullptr, *oldest = nullptr;
  for_each_node(graph, [&](const Node& node) {
    if (node.def->domain != domain) return;
    if (can_be_written_older(*node.def)) return;
    if (!youngest || since(node) > since(*youngest)) youngest = &node;
    if (!oldest || node.def->until < oldest->def->until) oldest = &node;
  });
  if (!youngest) return 0;
  int opset = std::max(newest, since(*youngest));
  if (oldest->def->until <= opset) opset = oldest->def->until - 1;
  require(since(*youngest) <= opset, "no opset suits both of two nodes (node, op, from opset; node, op, before opset)",
          youngest->name, youngest->def->name, since(*youngest), oldest->name, oldest->def->name, opset + 1);
  return opset;
}

// Throws InvalidArgument naming a node that means something else in `opset`.
void check_opset(const Graph& graph, int opset) {
  require(opset <= kNewestOnnxOpset, "this opset is not known (opset, newest)", opset, kNewestOnnxOpset);
  for_each_node(graph, [&](const Node& node) {
    require(!node.def->domain.empty() || (node.def->since <= opset && opset < node.def->until),
            "a node cannot be written in this opset: its op is another there (node, op, opset, from, before)", node.name, node.def->name, opset,
            node.def->since, node.def->until);
    const std::string_view younger = younger_word(node, opset);
    require(younger.empty(), "a node cannot be written in this opset, which lacks an attribute or input of it (node, op, opset, lacks)", node.name,
            node.def->name, opset, younger);
  });
}

// The first opset that knows an element type, and in which such numbers are quantized.
int first_opset_with(DType type, bool quantized) {
  switch (type) {
    case DType::kU16:
    case DType::kI16: return quantized ? 21 : 1;
    case DType::kF8E4M3FN:
    case DType::kF8E4M3FNUZ:
    case DType::kF8E5M2:
    case DType::kF8E5M2FNUZ: return 19;
    case DType::kU4:
    case DType::kI4: return 21;
    case DType::kF4E2M1: return 23;
    case DType::kF8E8M0: return 24;
    case DType::kU2:
    case DType::kI2: return 25;
    default: return 1;
  }
}

// Calls f(node, type, first opset that knows it) for each value that a node of ONNX takes or makes, in bodies too.
template <class F>
void for_each_element_type(const Graph& graph, const F& f) {
  for (const Node& node : graph.nodes) {
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<Subgraph>(&attribute)) for_each_element_type(**body, f);
    if (!node.def->domain.empty()) continue;
    const bool quantized = node.def->name == "QuantizeLinear" || node.def->name == "DequantizeLinear";
    for (const std::vector<ValueId>* ids : {&node.inputs, &node.outputs})
      for (ValueId id : *ids)
        if (id != kNoValue) f(node, graph.value(id).type.dtype, first_opset_with(graph.value(id).type.dtype, quantized));
  }
}

int first_opset_with_types(const Graph& graph) {
  int first = 1;
  for_each_element_type(graph, [&](const Node&, DType, int from) { first = std::max(first, from); });
  return first;
}

// Throws InvalidArgument naming a node of ONNX that takes or makes numbers of a type that `opset` lacks.
void check_element_types(const Graph& graph, int opset) {
  for_each_element_type(graph, [&](const Node& node, DType type, int from) {
    require(from <= opset, "a node cannot be written in this opset, which lacks its element type (node, op, opset, type, from)", node.name,
            node.def->name, opset, name(type), from);
  });
}

void add_opset(ModelProto& model, std::string_view domain, int version) {
  auto* opset = model.add_opset_import();
  opset->set_domain(std::string(domain));
  opset->set_version(version);
}

// One graph and the bodies in it. A body may use names from around it, so no name is made twice in the whole model.
class GraphWriter {
 public:
  // `external`: takes the weights that are to lie in a file of their own; null: none.
  GraphWriter(const Graph& graph, int opset, std::set<std::string>& taken, ExternalWeights* external)
      : graph_(graph), opset_(opset), taken_(taken), external_(external) {
    names_.resize(graph.values.size());
  }

  // `captured`: the outer names of a body's last inputs.
  void write(GraphProto& proto, const std::vector<std::string>& captured = {}) {
    proto.set_name(graph_.name.empty() ? "main" : graph_.name);
    const size_t formal = graph_.inputs.size() - captured.size();
    for (size_t i = 0; i < captured.size(); ++i) names_[static_cast<size_t>(graph_.inputs[formal + i])] = captured[i];
    for (size_t v = 0; v < names_.size(); ++v)
      if (names_[v].empty()) names_[v] = free_name(graph_.values[v].name);
    for (size_t v = 0; v < names_.size(); ++v)
      if (const Value& value = graph_.values[v]; value.kind == ValueKind::kConstant || value.kind == ValueKind::kState)
        write_weights(value.data, names_[v], *proto.add_initializer());
    for (size_t i = 0; i < formal; ++i) write_value_info(graph_.inputs[i], *proto.add_input());
    for (const Node& node : graph_.nodes) write_node(node, *proto.add_node());
    write_outputs(proto);
  }

 private:
  void write_weights(const Tensor& data, const std::string& name, TensorProto& proto) const {
    if (!external_ || !external_->take(data, name, proto)) write_tensor(data, name, proto);
  }

  const std::string& name(ValueId id) const { return names_[static_cast<size_t>(id)]; }

  static std::string free_name(const std::string& wish, std::set<std::string>& taken) {
    std::string name = wish;
    for (int i = 1; !taken.insert(name).second; ++i) name = wish + "_" + std::to_string(i);
    return name;
  }
  std::string free_name(const std::string& wish) { return free_name(wish, taken_); }

  void write_value_info(ValueId id, ValueInfoProto& info) const {
    info.set_name(name(id));
    write_type(graph_.value(id).type, *info.mutable_type());
  }

  // ONNX wants a name for the trip count and the condition of a Loop, though it be empty.
  static size_t named_inputs(const OpDef& def) { return def.name == "Loop" ? 2 : 0; }

  // Trailing absent inputs and outputs are left out but for the first `least`, others are written as empty names.
  template <class Add>
  void write_names(std::vector<ValueId> ids, size_t least, Add add) const {
    while (ids.size() > least && ids.back() == kNoValue) ids.pop_back();
    for (ValueId id : ids) add(id == kNoValue ? std::string() : name(id));
  }

  void write_node(const Node& node, NodeProto& proto) {
    proto.set_name(free_name(node.name, node_names_));
    proto.set_op_type(std::string(node.def->name));
    proto.set_domain(std::string(node.def->domain));
    size_t captured = 0;
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<Subgraph>(&attribute)) captured += static_cast<size_t>((*body)->captured_inputs);
    size_t next = node.inputs.size() - captured;
    write_names({node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(next)}, named_inputs(*node.def),
                [&](std::string text) { proto.add_input(std::move(text)); });
    write_names(node.outputs, 0, [&](std::string text) { proto.add_output(std::move(text)); });
    for (const auto& [key, attribute] : node.attributes) {
      const auto* body = std::get_if<Subgraph>(&attribute);
      AttributeProto& to = *proto.add_attribute();
      if (body)
        write_body(**body, key, node, next, to);
      else if (node.def->name == "Optional")
        write_type_attribute(key, node, to);
      else
        write_attribute(key, attribute, to);
    }
  }

  // Of an Optional, whose output tells it.
  void write_type_attribute(const std::string& key, const Node& node, AttributeProto& proto) const {
    TensorType type = graph_.value(node.outputs[0]).type;
    type.container = type.container == Container::kOptionalSequence ? Container::kSequence : Container::kTensor;
    proto.set_name(key);
    proto.set_type(AttributeProto::TYPE_PROTO);
    write_type(type, *proto.mutable_tp());
  }

  // `next`: where the body's captured values begin in the node's inputs; moved on.
  void write_body(const Graph& body, const std::string& key, const Node& node, size_t& next, AttributeProto& proto) {
    std::vector<std::string> captured;
    for (int i = 0; i < body.captured_inputs; ++i) captured.push_back(name(node.inputs[next++]));
    proto.set_name(key);
    proto.set_type(AttributeProto::GRAPH);
    const Graph standard = with_moved_operands(with_older_ops(with_standard_ops(body, opset_), opset_), opset_);
    GraphWriter(standard, opset_, taken_, external_).write(*proto.mutable_g(), captured);
  }

  // What ZipMap makes is a matrix here (runtime/ops/zip_map.cpp), in ONNX a sequence of maps.
  void write_map_types(GraphProto& proto) const {
    std::map<std::string_view, bool> texts;  // made by ZipMap -> whether its keys are text
    for (const Node& node : graph_.nodes)
      if (node.def->name == "ZipMap" && node.def->domain == "ai.onnx.ml")
        texts.emplace(names_[static_cast<size_t>(node.outputs[0])], node.attributes.contains("classlabels_strings"));
    for (ValueInfoProto& info : *proto.mutable_output()) {
      const auto found = texts.find(info.name());
      if (found == texts.end()) continue;
      auto* map = info.mutable_type()->mutable_sequence_type()->mutable_elem_type()->mutable_map_type();
      map->set_key_type(found->second ? TensorProto::STRING : TensorProto::INT64);
      write_type({DType::kF32, Dims{}}, *map->mutable_value_type());
    }
  }

  // ONNX wants a name of its own for each output, and for one that is an input or a constant as it is.
  void write_outputs(GraphProto& proto) {
    std::set<ValueId> seen;
    for (ValueId id : graph_.outputs) {
      if (seen.insert(id).second) {
        write_value_info(id, *proto.add_output());
        continue;
      }
      NodeProto& copy = *proto.add_node();
      copy.set_op_type("Identity");
      copy.add_input(name(id));
      copy.add_output(free_name(name(id)));
      copy.set_name(free_name(copy.output(0), node_names_));
      ValueInfoProto& info = *proto.add_output();
      info.set_name(copy.output(0));
      write_type(graph_.value(id).type, *info.mutable_type());
    }
    write_map_types(proto);
  }

  const Graph& graph_;
  int opset_;
  std::set<std::string>& taken_;    // names of all graphs of the model
  ExternalWeights* external_;
  std::vector<std::string> names_;  // by ValueId
  std::set<std::string> node_names_;
};

void add_opsets(const Graph& graph, int opset, ModelProto& model) {
  add_opset(model, "", opset);
  if (const int ml_opset = common_opset(graph, "ai.onnx.ml", kOnnxMlOpset)) add_opset(model, "ai.onnx.ml", ml_opset);
  std::set<std::string_view> others;
  for_each_node(graph, [&](const Node& node) {
    if (!node.def->domain.empty() && node.def->domain != "ai.onnx.ml") others.insert(node.def->domain);
  });
  for (std::string_view domain : others) add_opset(model, domain, common_opset(graph, domain, 1));
}

// Bytes of the numbers that the graph and its bodies hold.
size_t weight_bytes(const Graph& graph) {
  size_t bytes = 0;
  for (const Value& value : graph.values)
    if (value.data && value.data.dtype() != DType::kString) bytes += value.data.bytes();
  return bytes;
}

std::string serialize(const Graph& graph, int asked, ExternalWeights* external) {
  const auto own = graph.opsets.find("");
  const int newest = asked ? asked : std::max({kOnnxOpset, own != graph.opsets.end() ? own->second : 0, first_opset_with_types(graph)});
  const Graph expanded = with_standard_ops(graph, newest);
  const int found = asked ? asked : common_opset(expanded, "", newest);
  const int opset = found ? found : newest;
  const Graph standard = with_moved_operands(with_older_ops(expanded, opset), opset);
  check_opset(standard, opset);
  check_element_types(standard, opset);
  const size_t weights = weight_bytes(standard);
  require(external || weights <= size_t{INT_MAX}, "the model is too large for one ONNX file (bytes of weights, limit)", weights, INT_MAX);
  ModelProto model;
  model.set_producer_name("tandem");
  model.set_ir_version(ir_version(opset));
  add_opsets(standard, opset, model);
  for (const auto& [key, text] : graph.metadata) {
    auto* entry = model.add_metadata_props();
    entry->set_key(key);
    entry->set_value(text);
  }
  std::set<std::string> taken;
  GraphWriter(standard, opset, taken, external).write(*model.mutable_graph());
  const size_t bytes = model.ByteSizeLong();
  require(bytes <= size_t{INT_MAX}, "the model is too large for one ONNX file (bytes, limit)", bytes, INT_MAX);
  return model.SerializeAsString();
}

}  // namespace

std::string serialize_onnx(const Graph& graph, int opset) { return serialize(graph, opset, nullptr); }

void save_onnx(const Graph& graph, const std::filesystem::path& path, int opset, ExternalData wanted) {
  constexpr size_t kRoom = 64 << 20;  // for all but the weights
  if (wanted == ExternalData::kIfNeeded && weight_bytes(graph) <= size_t{INT_MAX} - kRoom) return write_file(path, serialize_onnx(graph, opset));
  std::filesystem::path data = path;
  data += ".data";
  ExternalWeights external(data.filename().string());
  const std::string model = serialize(graph, opset, &external);
  if (std::filesystem::is_regular_file(path)) std::filesystem::remove(path);
  write_file(data, external.pieces());
  write_file(path, model);
}

}  // namespace tandem
