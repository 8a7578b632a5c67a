// ModelProto -> Graph, in one pass over each list: header, inputs, initializers, Constant nodes, nodes in running order, outputs.
// Format: ONNX docs/IR.md.
#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <map>
#include <memory>
#include <ranges>
#include <set>
#include <tuple>
#include <unordered_map>

#include "onnx.pb.h"
#include "runtime/graph/nearest_name.h"
#include "runtime/io/file.h"
#include "runtime/onnx/attribute_proto.h"
#include "runtime/onnx/body_types.h"
#include "runtime/onnx/constant_node.h"
#include "runtime/onnx/contrib.h"
#include "runtime/onnx/functions.h"
#include "runtime/onnx/gradient_node.h"
#include "runtime/onnx/import_model.h"
#include "runtime/onnx/model_file.h"
#include "runtime/onnx/node_order.h"
#include "runtime/onnx/node_proto.h"
#include "runtime/onnx/old_attributes.h"
#include "runtime/onnx/onnx.h"
#include "runtime/onnx/sparse_tensor.h"
#include "runtime/onnx/tensor_files.h"
#include "runtime/onnx/tensor_proto.h"
#include "runtime/onnx/value_type.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

using namespace tandem_onnx_proto;

constexpr int64_t kOldestIr = 3, kNewestIr = 13;
constexpr size_t kMostNamesListed = 20;

void check_opset(std::string_view domain, int64_t version) {
  const int newest = domain.empty()           ? kNewestOnnxOpset
                     : domain == "ai.onnx.ml" ? kNewestOnnxMlOpset
                                              : INT_MAX;  // others: no op of theirs is known
  require(version >= 1 && version <= newest, "opset version is not supported (domain, has, newest)", printed_domain(domain), version, newest);
}

class Importer {
 public:
  // `raw`: of initializers, by index, whose raw data is not in the message.
  Importer(ModelProto& model, TensorFiles& files, const RawRanges& raw, const Limits& limits, const NameSet& given)
      : model_(model), proto_(*model.mutable_graph()), files_(files), raw_(raw), limits_(limits), given_(given) {}

  // For the body of a node of `outer`. `formal`: the types of its inputs, where the file does not say.
  Importer(Importer& outer, GraphProto& body, std::vector<TensorType> formal)
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
  void read_initializers();
  void declare_outputs_of_nodes();
  std::vector<int> running_order();
  void read_node(NodeProto& proto);
  void read_bodies(NodeProto& proto, Node& node);
  Subgraph read_body(GraphProto& body, const Node& node, std::vector<ValueId>& captured);
  bool find_around(const std::string& name);
  void read_constant_node(const NodeProto& proto);
  void read_gradient_node(const NodeProto& proto);
  Attributes read_attributes(const NodeProto& proto) const;
  void read_outputs();
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
    require(found != ids_.end(), "a value is not made in this opset, or made too late", name);
    return found->second;
  }
  // 0: the model imports none.
  int opset_of(std::string_view domain) const {
    const auto imported = graph_.opsets.find(domain);
    return imported == graph_.opsets.end() ? 0 : imported->second;
  }

  ModelProto& model_;
  GraphProto& proto_;
  TensorFiles& files_;
  const RawRanges raw_;
  const Limits& limits_;
  Importer* outer_ = nullptr;  // of a body: what reads the graph around it
  int depth_ = 0;
  std::vector<TensorType> formal_;
  bool forgets_shapes_ = false;     // of what it takes from the graph around it
  std::vector<ValueId> captured_;  // the values of the graph around it that are its last inputs
  NameSet given_;  // of the inputs with a default, those that get a value in a run
  Graph graph_;
  std::map<std::string, ValueId, std::less<>> ids_;  // not hashed: names come from a stranger
  std::map<std::string_view, int> makers_;           // output of a node -> index of the node in the file
  std::map<OpKey, const OpDef*> defs_;
};

void Importer::read_header() {
  require(model_.ir_version() >= kOldestIr && model_.ir_version() <= kNewestIr, "IR version is not supported (has, from, to)",
          model_.ir_version(), kOldestIr, kNewestIr);
  require(proto_.node_size() <= limits_.graph_nodes, "the graph has too many nodes (has, limit)", proto_.node_size(),
          limits_.graph_nodes);
  if (!proto_.name().empty()) graph_.name = proto_.name();
  for (const auto& opset : model_.opset_import()) {
    const std::string_view domain = canonical_domain(opset.domain());
    check_opset(domain, opset.version());
    // skl2onnx may write the same entry twice.
    const auto known = graph_.opsets.emplace(domain, static_cast<int>(opset.version())).first;
    require(known->second == opset.version(), "a domain is given two opsets (domain, one, other)", printed_domain(domain), known->second,
            opset.version());
  }
  for (const auto& entry : model_.metadata_props())
    require(graph_.metadata.emplace(entry.key(), entry.value()).second, "metadata key is given twice", entry.key());
}

void Importer::read_body_header() {
  require(depth_ <= kDeepestBody, "subgraphs are nested too deeply (limit)", kDeepestBody);
  require(proto_.node_size() <= limits_.graph_nodes, "the graph has too many nodes (has, limit)", proto_.node_size(), limits_.graph_nodes);
  graph_.name = proto_.name().empty() ? "body" : proto_.name();
}

// Makes a value of a graph around this one known here: a constant is one here too, anything else becomes an input.
bool Importer::find_around(const std::string& name) {
  if (ids_.contains(name)) return true;
  if (!outer_ || !outer_->find_around(name)) return false;
  const ValueId id = outer_->lookup(name);
  const Value& value = outer_->graph_.value(id);
  if (value.kind == ValueKind::kConstant) {
    bind_name(name, graph_.add_constant(name, value.data));
    return true;
  }
  TensorType type = value.type;
  if (forgets_shapes_) type.dims.reset();
  const ValueId input = graph_.add_input(name, type.dtype, {});
  graph_.value(input).type = type;
  captured_.push_back(id);
  bind_name(name, input);
  return true;
}

// Looks each kind of op up once; what is not supported is told all at once, so that a user need not find it out one by one.
void Importer::resolve_ops() {
  std::set<std::string> unsupported;
  for (const NodeProto& node : proto_.node()) {
    const std::string_view domain = canonical_domain(node.domain());
    const auto [entry, is_new] = defs_.try_emplace(key_of(node), nullptr);
    if (!is_new || is_constant(node) || is_gradient(node)) continue;
    const int64_t opset = opset_of_node(node, opset_of(domain));
    require(opset > 0, "the file imports no opset for the domain of a node (domain, node)", printed_domain(domain), describe(node));
    check_opset(domain, opset);
    try {
      // Internal ops stand for memory and for ranks; they have no meaning in a file.
      require(domain != "tandem", "not an op of ONNX");
      const ContribOp* contrib = find_contrib_op(domain, node.op_type());
      entry->second = contrib ? &contrib->def : &find_op(domain, node.op_type(), static_cast<int>(opset));
    } catch (const Error&) {
      unsupported.insert(fmt::format("{}.{}-{}", printed_domain(domain), node.op_type(), opset));
    }
  }
  std::vector<std::string> listed(unsupported.begin(), unsupported.end());
  if (listed.size() > kMostNamesListed) listed.resize(kMostNamesListed), listed.push_back("...");
  require(unsupported.empty(), "ops that are not supported (domain.op-opset)", fmt::format("{}", fmt::join(listed, ", ")));
}

// An initializer that is listed as an input too (before IR 4 each of them is) is the input's default: a constant, unless the input is given.
void Importer::read_inputs() {
  std::set<std::string_view> initialized;
  for (const TensorProto& tensor : proto_.initializer()) initialized.insert(tensor.name());
  for (const SparseTensorProto& tensor : proto_.sparse_initializer()) initialized.insert(tensor.values().name());
  for (const ValueInfoProto& info : proto_.input()) {
    if (initialized.contains(info.name()) && !given_.contains(info.name())) continue;
    const bool untyped = info.type().value_case() == TypeProto::VALUE_NOT_SET && graph_.inputs.size() < formal_.size();
    TensorType type = untyped ? formal_[graph_.inputs.size()] : read_value_type(info);
    require(!info.name().empty() && !ids_.contains(info.name()), "graph inputs need a name each", info.name());
    const ValueId id = graph_.add_input(info.name(), type.dtype, {});
    graph_.value(id).type = std::move(type);
    bind_name(info.name(), id);
  }
}

void Importer::read_initializers() {
  const auto add = [&](const std::string& name, const Tensor& content) {
    require(!ids_.contains(name), "two values have one name", name);
    bind_name(name, graph_.add_constant(name, content));
  };
  for (const SparseTensorProto& proto : proto_.sparse_initializer())
    if (!is_given(proto.values().name())) add(proto.values().name(), read_sparse_tensor(proto, files_, limits_));
  for (int i = 0; i < proto_.initializer_size(); ++i) {
    TensorProto& proto = *proto_.mutable_initializer(i);
    if (is_given(proto.name())) continue;
    const auto inside = raw_.find(i);
    add(proto.name(), read_tensor(proto, files_, limits_, inside == raw_.end() ? nullptr : &inside->second));
    if (!outer_) const std::unique_ptr<std::string> freed(proto.release_raw_data());  // the weights are not kept twice; a body may be read again
  }
}

void Importer::declare_outputs_of_nodes() {
  for (int n = 0; n < proto_.node_size(); ++n)
    for (const std::string& name : proto_.node(n).output()) {
      if (name.empty()) continue;
      require(!ids_.contains(name) && makers_.emplace(name, n).second, "a value is made twice (value, node)", name,
              describe(proto_.node(n)));
    }
}

std::vector<int> Importer::running_order() {
  std::vector<std::vector<int>> producers(static_cast<size_t>(proto_.node_size()));
  for (int n = 0; n < proto_.node_size(); ++n)
    for (std::string_view name : names_read(proto_.node(n))) {
      if (ids_.contains(name)) continue;
      const auto maker = makers_.find(name);
      if (maker == makers_.end())
        require(find_around(std::string(name)), "a node reads a value that nothing makes (value, node)", name, describe(proto_.node(n)));
      else
        producers[static_cast<size_t>(n)].push_back(maker->second);
    }
  std::vector<int> order = topological_order(producers);
  if (order.size() == producers.size()) return order;
  std::vector<int> cycle = find_cycle(producers, order);
  std::vector<std::string> names;
  for (int n : cycle | std::views::take(kMostNamesListed)) names.push_back(describe(proto_.node(n)));
  fail(ErrorCode::kInvalidArgument, "the graph has a cycle", {fmt::format("{}", fmt::join(names, " -> "))});
}

Attributes Importer::read_attributes(const NodeProto& proto) const {
  Attributes attributes;
  for (const AttributeProto& attribute : proto.attribute())
    if (!attribute.has_g()) require(attributes.emplace(attribute.name(), read_attribute(attribute, files_, limits_)).second, "attribute is given twice",
            attribute.name());
  return attributes;
}

// A branch that is not taken may be wrong for the shapes at hand: then they are forgotten, and only a run of the branch tells.
Subgraph Importer::read_body(GraphProto& body, const Node& node, std::vector<ValueId>& captured) {
  const auto read = [&](bool forgets_shapes) {
    Importer importer(*this, body, formal_types(graph_, node));
    importer.forgets_shapes_ = forgets_shapes;
    Subgraph graph = std::make_shared<const Graph>(importer.run());
    captured.insert(captured.end(), importer.captured_.begin(), importer.captured_.end());
    return graph;
  };
  if (node.def->name != "If") return read(false);
  try {
    return read(false);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    return read(true);
  }
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

void Importer::read_node(NodeProto& proto) try {
  require(proto.input_size() <= limits_.node_arity && proto.output_size() <= limits_.node_arity,
          "too many inputs or outputs (inputs, outputs, limit)", proto.input_size(), proto.output_size(), limits_.node_arity);
  const OpDef* def = defs_.at(key_of(proto));
  if (!def) return is_constant(proto) ? read_constant_node(proto) : read_gradient_node(proto);
  Node node{def, proto.name().empty() ? proto.op_type() : proto.name(), {}, {}, read_attributes(proto)};
  int outputs = proto.output_size();
  if (def->domain.empty()) modernize_attributes(def->name, opset_of_node(proto, opset_of("")), node.attributes, outputs);
  for (const std::string& name : proto.input()) node.inputs.push_back(lookup(name));
  read_bodies(proto, node);
  for (const std::string& name : proto.output() | std::views::take(outputs)) {
    node.outputs.push_back(name.empty() ? kNoValue : graph_.add_result(name));
    if (!name.empty()) bind_name(name, node.outputs.back());
  }
  if (const ContribOp* contrib = find_contrib_op(def->domain, def->name); contrib && def == &contrib->def)
    return expand_contrib(graph_, *contrib, node);
  infer_types(graph_, node);
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

void Importer::read_outputs() {
  std::set<std::string_view> seen;
  for (const ValueInfoProto& info : proto_.output()) {
    require(seen.insert(info.name()).second, "two graph outputs have one name", info.name());
    require(find_around(info.name()), "nothing makes a graph output", info.name());
    const auto found = ids_.find(info.name());
    check_declared(info, graph_.value(found->second));
    graph_.outputs.push_back(found->second);
  }
}

}  // namespace

Graph import_model(tandem_onnx_proto::ModelProto& model, TensorFiles& files, const RawRanges& raw, const Limits& limits, const NameSet& given) {
  require(model.has_graph(), "not an ONNX model: it has no graph");
  expand_functions(model, limits);
  return Importer(model, files, raw, limits, given).run();
}

}  // namespace tandem
