// Reads one graph of a model: the outermost one, or the body of a node, which sees the graph around it. Its steps, in this order: header,
// ops, inputs, initializers, nodes in running order, outputs (import_model.cpp); what a node is made of: import_node.cpp.
#pragma once

#include <map>

#include "onnx.pb.h"
#include "runtime/onnx/body_types.h"
#include "runtime/onnx/model_file.h"
#include "runtime/onnx/node_proto.h"
#include "runtime/onnx/onnx.h"
#include "runtime/onnx/tensor_files.h"
#include "runtime/onnx/value_type.h"

namespace tandem {

class Importer {
 public:
  // `raw`: of initializers, by index, whose raw data is not in the message.
  Importer(tandem_onnx_proto::ModelProto& model, TensorFiles& files, const RawRanges& raw, const Limits& limits, const NameSet& given)
      : model_(model), proto_(*model.mutable_graph()), files_(files), raw_(raw), limits_(limits), given_(given) {}

  // For the body of a node of `outer`. `formal`: its own inputs.
  Importer(Importer& outer, tandem_onnx_proto::GraphProto& body, std::vector<FormalInput> formal)
      : model_(outer.model_), proto_(body), files_(outer.files_), limits_(outer.limits_), outer_(&outer), depth_(outer.depth_ + 1),
        formal_(std::move(formal)) {
    graph_.opsets = outer.graph_.opsets;
  }

  Graph run() {
    if (outer_)
      read_body_header();
    else
      read_header();
    resolve_ops();
    read_inputs();
    read_initializers();
    declare_outputs_of_nodes();
    for (int n : running_order()) read_node(*proto_.mutable_node(n));
    read_outputs();
    graph_.captured_inputs = static_cast<int>(captured_.size());
    verify(graph_);
    return std::move(graph_);
  }

 private:
  void read_header();
  void read_body_header();
  void resolve_ops();
  void read_inputs();
  void read_map(const std::string& name, MapTypes types);
  TensorType type_of_input(const tandem_onnx_proto::ValueInfoProto& info) const;
  ValueId add_input(const std::string& name, TensorType type);
  void add_inputs_of(const tandem_onnx_proto::NodeProto& proto, Node& node) const;
  void read_initializers();
  void declare_outputs_of_nodes();
  std::vector<int> running_order();
  void read_node(tandem_onnx_proto::NodeProto& proto);
  void read_bodies(tandem_onnx_proto::NodeProto& proto, Node& node);
  Subgraph read_body(tandem_onnx_proto::GraphProto& body, const Node& node, std::vector<ValueId>& captured);
  bool find_around(const std::string& name);
  void read_constant_node(const tandem_onnx_proto::NodeProto& proto);
  void read_gradient_node(const tandem_onnx_proto::NodeProto& proto);
  Attributes read_attributes(const tandem_onnx_proto::NodeProto& proto) const;
  void read_outputs();
  void keep_declared_rank(const tandem_onnx_proto::ValueInfoProto& info, ValueId id);
  void bind_name(const std::string& name, ValueId id) {
    require(!name.empty(), "a value needs a name");
    require(ids_.emplace(name, id).second, "two values have one name", name);
  }
  // Whether an initializer gives way to an input of its name.
  bool is_given(const std::string& name) const {
    const auto found = ids_.find(name);
    return found != ids_.end() && given_.contains(name) && graph_.value(found->second).kind == ValueKind::kInput;
  }
  ValueId lookup(const std::string& name) const {
    if (name.empty()) return kNoValue;
    const auto found = ids_.find(name);
    require(!maps_.contains(name), "only CastMap and DictVectorizer take a map", name);
    require(found != ids_.end(), "a value is not made in this opset, or made too late", name);
    return found->second;
  }
  // 0: the model imports none. onnxruntime's own domain has one version, and its optimizer writes files that do not import it.
  int opset_of(std::string_view domain) const {
    const auto imported = graph_.opsets.find(domain);
    return imported != graph_.opsets.end() ? imported->second : domain == "com.microsoft" ? 1 : 0;
  }

  tandem_onnx_proto::ModelProto& model_;
  tandem_onnx_proto::GraphProto& proto_;
  TensorFiles& files_;
  const RawRanges raw_;
  const Limits& limits_;
  Importer* outer_ = nullptr;  // of a body: what reads the graph around it
  int depth_ = 0;
  std::vector<FormalInput> formal_;
  bool forgets_shapes_ = false;     // of what it takes from the graph around it and of its own inputs
  std::vector<ValueId> captured_;  // the values of the graph around it that are its last inputs
  NameSet given_;  // of the inputs with a default, those that get a value in a run
  Graph graph_;
  std::map<std::string, ValueId, std::less<>> ids_;  // not hashed: names come from a stranger
  std::map<std::string, std::pair<ValueId, ValueId>, std::less<>> maps_;  // inputs that are maps: their keys and values
  std::map<std::string_view, int> makers_;           // output of a node -> index of the node in the file
  std::map<OpKey, const OpDef*> defs_;
};

}  // namespace tandem
