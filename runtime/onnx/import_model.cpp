// ModelProto -> Graph, in one pass over each list: header, inputs, initializers, Constant nodes, nodes in running order, outputs.
// Format: ONNX docs/IR.md.
#include "runtime/onnx/import_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <ranges>
#include <set>

#include "runtime/graph/op_def.h"
#include "runtime/onnx/constant_node.h"
#include "runtime/onnx/contrib.h"
#include "runtime/onnx/functions.h"
#include "runtime/onnx/gradient_node.h"
#include "runtime/onnx/importer.h"
#include "runtime/onnx/node_order.h"
#include "runtime/onnx/sparse_tensor.h"
#include "runtime/onnx/tensor_proto.h"
#include "runtime/ops/all_ops.h"

namespace tandem {

using namespace tandem_onnx_proto;

namespace {

constexpr int64_t kOldestIr = 3, kNewestIr = 13;
constexpr size_t kMostNamesListed = 20;

void check_opset(std::string_view domain, int64_t version) {
  const int newest = domain.empty()           ? kNewestOnnxOpset
                     : domain == "ai.onnx.ml" ? kNewestOnnxMlOpset
                                              : INT_MAX;  // others: no op of theirs is known
  require(version >= 1 && version <= newest, "opset version is not supported (domain, has, newest)", printed_domain(domain), version, newest);
}

}  // namespace

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
    if (auto map = read_map_types(info)) {
      read_map(info.name(), std::move(*map));
      continue;
    }
    add_input(info.name(), type_of_input(info));
  }
}

// What is said of a body's inputs must hold in each iteration.
TensorType Importer::type_of_input(const ValueInfoProto& info) const {
  if (graph_.inputs.size() >= formal_.size()) return read_value_type(info);
  const FormalInput& formal = formal_[graph_.inputs.size()];
  const bool untyped = info.type().value_case() == TypeProto::VALUE_NOT_SET;
  TensorType type = untyped ? believed_type(formal) : believed_type(read_value_type(info), formal);
  if (forgets_shapes_ && formal.varies) type.dims.reset();
  return type;
}

ValueId Importer::add_input(const std::string& name, TensorType type) {
  require(!name.empty() && !ids_.contains(name) && !maps_.contains(name), "graph inputs need a name each", name);
  const ValueId id = graph_.add_input(name, type.dtype, {});
  graph_.value(id).type = std::move(type);
  bind_name(name, id);
  return id;
}

void Importer::read_map(const std::string& name, MapTypes types) {
  require(!name.empty() && !ids_.contains(name) && !maps_.contains(name), "graph inputs need a name each", name);
  const ValueId keys = add_input(name + ".keys", std::move(types.keys));
  maps_.emplace(name, std::pair(keys, add_input(name + ".values", std::move(types.values))));
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
      require(!ids_.contains(name) && !maps_.contains(name) && makers_.emplace(name, n).second, "a value is made twice (value, node)", name,
              describe(proto_.node(n)));
    }
}

std::vector<int> Importer::running_order() {
  std::vector<std::vector<int>> producers(static_cast<size_t>(proto_.node_size()));
  for (int n = 0; n < proto_.node_size(); ++n)
    for (std::string_view name : names_read(proto_.node(n))) {
      if (ids_.contains(name) || maps_.contains(name)) continue;
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

void Importer::read_outputs() {
  std::set<std::string_view> seen;
  for (const ValueInfoProto& info : proto_.output()) {
    require(seen.insert(info.name()).second, "two graph outputs have one name", info.name());
    require(find_around(info.name()), "nothing makes a graph output", info.name());
    const auto found = ids_.find(info.name());
    check_declared(info, graph_.value(found->second));
    if (!outer_) keep_declared_rank(info, found->second);
    graph_.outputs.push_back(found->second);
  }
}

// Of an output whose rank follows from nothing (branches of an If that differ), if no node here reads it: what is written again needs one.
// Its sizes may be stale, and stay open.
void Importer::keep_declared_rank(const ValueInfoProto& info, ValueId id) {
  TensorType& type = graph_.value(id).type;
  if (type.dims || type.container != Container::kTensor || !info.type().tensor_type().has_shape()) return;
  const auto reads = [&](const Node& node) { return std::ranges::find(node.inputs, id) != node.inputs.end(); };
  const int rank = info.type().tensor_type().shape().dim_size();
  if (rank <= Shape::kMaxRank && std::ranges::none_of(graph_.nodes, reads)) type.dims = Dims(static_cast<size_t>(rank));
}

Graph import_model(tandem_onnx_proto::ModelProto& model, TensorFiles& files, const RawRanges& raw, const Limits& limits, const NameSet& given) {
  require(model.has_graph(), "not an ONNX model: it has no graph");
  expand_functions(model, limits);
  return Importer(model, files, raw, limits, given).run();
}

}  // namespace tandem
