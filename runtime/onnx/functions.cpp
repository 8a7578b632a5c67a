// Calls wait on a stack rather than in recursion, since a chain of functions may be long; only graphs within graphs recurse, to a limit.
#include "runtime/onnx/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "onnx.pb.h"
#include "runtime/onnx/node_order.h"
#include "runtime/onnx/node_proto.h"

namespace tandem {
namespace {

using namespace tandem_onnx_proto;

constexpr int kDeepestGraph = 64;
constexpr size_t kLongestPrefix = 120;
constexpr std::string_view kOpsetMark = "opset ";

using Names = std::map<std::string, std::string, std::less<>>;                         // in the function -> in the graph
using NodeList = google::protobuf::RepeatedPtrField<NodeProto>;
using CallAttributes = std::map<std::string_view, const AttributeProto*>;

using tandem::key_of;
OpKey key_of(const FunctionProto& function) { return {canonical_domain(function.domain()), function.name(), function.overload()}; }
std::string describe(const FunctionProto& function) {
  return fmt::format("function '{}.{}{}{}'", function.domain(), function.name(), function.overload().empty() ? "" : ":", function.overload());
}

// The graphs that are attributes of a node.
template <class F>
void for_each_graph(NodeProto& node, const F& f) {
  for (AttributeProto& attribute : *node.mutable_attribute()) {
    if (attribute.has_g()) f(*attribute.mutable_g());
    for (GraphProto& graph : *attribute.mutable_graphs()) f(graph);
  }
}
template <class F>
void for_each_graph(const NodeProto& node, const F& f) {
  for (const AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g()) f(attribute.g());
    for (const GraphProto& graph : attribute.graphs()) f(graph);
  }
}

// A body at one place: what its names and parameters stand for there.
struct Instance {
  const FunctionProto& function;
  CallAttributes attributes;
  std::map<std::string_view, int64_t> opsets;
  std::string prefix;  // of the names of its nodes
};

// What nodes take, themselves and all that they call.
struct Extent {
  int64_t nodes = 0, bytes = 0;
  void add(const Extent& other, const Limits& limits) {  // stops growing beyond the limits
    nodes = std::min(nodes + other.nodes, limits.function_nodes + 1);
    bytes = std::min(bytes + other.bytes, limits.model_bytes + 1);
  }
};

class Expander {
 public:
  Expander(ModelProto& model, const Limits& limits) : model_(model), limits_(limits) {}

  void run() {
    for (const FunctionProto& function : model_.functions())
      require(functions_.emplace(key_of(function), static_cast<int>(functions_.size())).second && !function.overload().starts_with(kOpsetMark),
              "two functions have one name, or one has a name that cannot be", describe(function));
    collect_names(*model_.mutable_graph(), 0);
    if (functions_.empty()) return;
    check_calls();
    for (const auto& opset : model_.opset_import()) model_opsets_[canonical_domain(opset.domain())] = opset.version();
    expand(*model_.mutable_graph(), 0);
  }

 private:
  const FunctionProto* find(const NodeProto& node) const {
    const auto found = functions_.find(key_of(node));
    return found == functions_.end() ? nullptr : &model_.functions(found->second);
  }
  void check_calls() const;
  Extent extent_of(const NodeProto& node, std::vector<int>& calls, int depth) const;
  void collect_names(GraphProto& graph, int depth);
  std::string fresh(const std::string& base);
  void expand(GraphProto& graph, int depth);
  std::vector<NodeProto> instantiate(const NodeProto& call, const FunctionProto& function);
  Instance make_instance(const NodeProto& call, const FunctionProto& function) const;
  void rename(NodeProto& node, const Names& names, const Instance& instance, int depth);
  void rename(GraphProto& graph, Names names, const Instance& instance, int depth);
  void set_attributes(NodeProto& node, const Instance& instance);
  void set_opset(NodeProto& node, const Instance& instance) const;

  ModelProto& model_;
  const Limits& limits_;
  std::map<OpKey, int> functions_;  // by number
  std::map<std::string_view, int64_t> model_opsets_;
  std::map<std::string, int> names_;  // of all values -> the last number that was tried behind it
  int64_t given_bytes_ = 0;           // of attributes that callers gave
};

// Of the node alone, graphs within it included; the functions called there are appended to `calls`.
Extent Expander::extent_of(const NodeProto& node, std::vector<int>& calls, int depth) const {
  require(depth <= kDeepestGraph, "graphs are nested too deeply (node, limit)", node.name(), kDeepestGraph);
  if (const auto called = functions_.find(key_of(node)); called != functions_.end()) calls.push_back(called->second);
  Extent extent{1, depth == 0 ? static_cast<int64_t>(node.ByteSizeLong()) : 0};
  for_each_graph(node, [&](const GraphProto& graph) {
    for (const NodeProto& inner : graph.node()) extent.add(extent_of(inner, calls, depth + 1), limits_);
  });
  return extent;
}

// Functions call no one in a circle, and what the graph calls has an end within the limits.
void Expander::check_calls() const {
  std::vector<std::vector<int>> calls(functions_.size());
  std::vector<Extent> extents(calls.size());
  for (size_t f = 0; f < calls.size(); ++f)
    for (const NodeProto& node : model_.functions(static_cast<int>(f)).node()) extents[f].add(extent_of(node, calls[f], 0), limits_);
  const std::vector<int> order = topological_order(calls);
  if (order.size() < calls.size()) {
    std::vector<std::string> circle;
    for (int f : find_cycle(calls, order)) circle.push_back(describe(model_.functions(f)));
    fail(ErrorCode::kInvalidArgument, "functions call each other in a circle", {fmt::format("{}", fmt::join(circle, ", "))});
  }
  for (int f : order)
    for (int called : calls[static_cast<size_t>(f)]) extents[static_cast<size_t>(f)].add(extents[static_cast<size_t>(called)], limits_);
  Extent all;
  std::vector<int> called_by_graph;
  for (const NodeProto& node : model_.graph().node()) extent_of(node, called_by_graph, 0);
  for (int called : called_by_graph) all.add(extents[static_cast<size_t>(called)], limits_);
  require(all.nodes <= limits_.function_nodes && all.bytes <= limits_.model_bytes,
          "the calls of functions stand for more than is allowed (most nodes, most bytes)", limits_.function_nodes, limits_.model_bytes);
}

// Also refuses overloads that are not defined; there is nothing else to do without functions.
void Expander::collect_names(GraphProto& graph, int depth) {
  require(depth <= kDeepestGraph, "graphs are nested too deeply (limit)", kDeepestGraph);
  const auto collect = [&](const std::string& name) {
    if (!functions_.empty()) names_.try_emplace(name, 0);
  };
  for (const ValueInfoProto& input : graph.input()) collect(input.name());
  for (const TensorProto& tensor : graph.initializer()) collect(tensor.name());
  for (NodeProto& node : *graph.mutable_node()) {
    require(node.overload().empty() || find(node), "a node names an overload that is not defined (overload, node)", node.overload(), node.name());
    std::ranges::for_each(node.output(), collect);
    for_each_graph(node, [&](GraphProto& inner) { collect_names(inner, depth + 1); });
  }
}

std::string Expander::fresh(const std::string& base) {
  const auto [entry, is_new] = names_.try_emplace(base, 0);
  if (is_new) return base;
  for (;;)
    if (std::string name = fmt::format("{}.{}", base, ++entry->second); names_.try_emplace(name, 0).second) return name;
}

void Expander::expand(GraphProto& graph, int depth) {
  require(depth <= kDeepestGraph, "graphs are nested too deeply (limit)", kDeepestGraph);
  NodeList nodes;
  nodes.Swap(graph.mutable_node());
  std::vector<NodeProto> waiting;  // the next one last
  for (NodeProto& from_file : nodes) {
    waiting.push_back(std::move(from_file));
    while (!waiting.empty()) {
      NodeProto node = std::move(waiting.back());
      waiting.pop_back();
      if (const FunctionProto* function = find(node)) {
        std::vector<NodeProto> body = instantiate(node, *function);
        std::move(body.rbegin(), body.rend(), std::back_inserter(waiting));
        continue;
      }
      for_each_graph(node, [&](GraphProto& inner) { expand(inner, depth + 1); });
      *graph.add_node() = std::move(node);
    }
  }
}

Instance Expander::make_instance(const NodeProto& call, const FunctionProto& function) const {
  // Cut, for calls within calls would otherwise pile up names without end.
  Instance instance{function, {}, {}, (call.name().empty() ? call.op_type() : call.name()).substr(0, kLongestPrefix)};
  for (const AttributeProto& standard : function.attribute_proto()) instance.attributes[standard.name()] = &standard;
  for (const AttributeProto& given : call.attribute()) {
    const bool known = instance.attributes.contains(given.name()) || std::ranges::find(function.attribute(), given.name()) != function.attribute().end();
    require(known, "the function has no such attribute", given.name());
    instance.attributes[given.name()] = &given;
  }
  for (const auto& opset : function.opset_import()) {
    require(opset.version() >= 1, "opset versions begin with 1 (domain, has)", opset.domain(), opset.version());
    instance.opsets[canonical_domain(opset.domain())] = opset.version();
  }
  return instance;
}

// The body with the caller's names, in the order of the body.
std::vector<NodeProto> Expander::instantiate(const NodeProto& call, const FunctionProto& function) try {
  require(call.input_size() <= function.input_size() && call.output_size() <= function.output_size(),
          "the call has more inputs or outputs than the function", call.input_size(), call.output_size());
  const Instance instance = make_instance(call, function);
  Names names;
  for (int i = 0; i < function.input_size(); ++i)
    require(names.emplace(function.input(i), i < call.input_size() ? call.input(i) : "").second, "two inputs have one name", function.input(i));
  std::vector<NodeProto> copies;  // of inputs that are outputs as well
  for (int i = 0; i < function.output_size(); ++i) {
    const std::string& formal = function.output(i);
    const bool wanted = i < call.output_size() && !call.output(i).empty();
    const auto [entry, is_new] = names.try_emplace(formal, wanted ? call.output(i) : "");
    if (is_new && !wanted) entry->second = fresh(instance.prefix + "/" + formal);
    if (is_new || !wanted) continue;
    copies.emplace_back().set_op_type("Identity");
    copies.back().set_name(instance.prefix + "/" + formal);
    copies.back().add_input(entry->second);
    copies.back().add_output(call.output(i));
    if (instance.opsets.contains("")) set_opset(copies.back(), instance);
  }
  for (const NodeProto& node : function.node())
    for (const std::string& output : node.output())
      if (!output.empty() && !names.contains(output)) names[output] = fresh(instance.prefix + "/" + output);
  std::vector<NodeProto> body(function.node().begin(), function.node().end());
  for (NodeProto& node : body) rename(node, names, instance, 0);
  std::move(copies.begin(), copies.end(), std::back_inserter(body));
  return body;
} catch (const Error& error) {
  throw Error(error.code(), fmt::format("{}, called by node '{}': {}", describe(function), call.name(), error.what()));
}

void Expander::rename(NodeProto& node, const Names& names, const Instance& instance, int depth) {
  node.set_name(instance.prefix + "/" + (node.name().empty() ? node.op_type() : node.name()));
  const auto renamed = [&](const std::string& name) {
    if (name.empty()) return name;
    const auto found = names.find(name);
    require(found != names.end(), "nothing in the function makes a value (value, its reader)", name, node.name());
    return found->second;
  };
  for (std::string& input : *node.mutable_input()) input = renamed(input);
  for (std::string& output : *node.mutable_output()) output = renamed(output);
  set_attributes(node, instance);
  if (!find(node)) set_opset(node, instance);
  for_each_graph(node, [&](GraphProto& graph) { rename(graph, names, instance, depth + 1); });
}

// The graph's own names become new ones too: a caller's value may bear the same name, and must be seen from within.
void Expander::rename(GraphProto& graph, Names names, const Instance& instance, int depth) {
  require(depth <= kDeepestGraph, "graphs are nested too deeply (limit)", kDeepestGraph);
  const auto declare = [&](const std::string& name) {
    if (!name.empty()) names[name] = fresh(instance.prefix + "/" + name);
  };
  for (const ValueInfoProto& input : graph.input()) declare(input.name());
  for (const TensorProto& tensor : graph.initializer())
    if (std::ranges::find(graph.input(), tensor.name(), [](const auto& input) { return input.name(); }) == graph.input().end())
      declare(tensor.name());
  for (const NodeProto& node : graph.node()) std::ranges::for_each(node.output(), declare);
  for (ValueInfoProto& input : *graph.mutable_input()) input.set_name(names.at(input.name()));
  for (TensorProto& tensor : *graph.mutable_initializer()) tensor.set_name(names.at(tensor.name()));
  for (NodeProto& node : *graph.mutable_node()) rename(node, names, instance, depth);
  for (ValueInfoProto& output : *graph.mutable_output()) {
    const auto found = names.find(output.name());
    require(found != names.end(), "nothing in the function makes an output of a graph in it", output.name());
    output.set_name(found->second);
  }
  graph.clear_value_info();
}

// Attributes that refer to the function's parameters take the caller's value, or the parameter's default, or go away.
void Expander::set_attributes(NodeProto& node, const Instance& instance) {
  google::protobuf::RepeatedPtrField<AttributeProto> attributes;
  for (AttributeProto& attribute : *node.mutable_attribute()) {
    if (attribute.ref_attr_name().empty()) {
      *attributes.Add() = std::move(attribute);
      continue;
    }
    const auto& parameter = attribute.ref_attr_name();
    const auto given = instance.attributes.find(parameter);
    if (given != instance.attributes.end()) {
      given_bytes_ += static_cast<int64_t>(given->second->ByteSizeLong());
      require(given_bytes_ <= limits_.model_bytes, "what callers give to functions takes more than is allowed (most bytes)", limits_.model_bytes);
      *attributes.Add() = *given->second;
      attributes.rbegin()->set_name(attribute.name());
      continue;
    }
    const auto& declared = instance.function.attribute();
    require(std::ranges::find(declared, parameter) != declared.end(), "a node refers to an attribute that the function does not have (attribute, node)",
            parameter, node.name());
  }
  node.mutable_attribute()->Swap(&attributes);
}

void Expander::set_opset(NodeProto& node, const Instance& instance) const {
  const std::string_view domain = canonical_domain(node.domain());
  const auto own = instance.opsets.find(domain);
  require(own != instance.opsets.end(), "the function imports no opset for the domain of a node (domain, node)", domain, node.name());
  require(node.overload().empty(), "a node names an overload that is not defined (overload, node)", node.overload(), node.name());
  const auto models = model_opsets_.find(domain);
  if (models == model_opsets_.end() || models->second != own->second) node.set_overload(fmt::format("{}{}", kOpsetMark, own->second));
}

}  // namespace

void expand_functions(ModelProto& model, const Limits& limits) { Expander(model, limits).run(); }

int64_t opset_of_node(const NodeProto& node, int64_t of_model) {
  return node.overload().empty() ? of_model : std::stoll(node.overload().substr(kOpsetMark.size()));
}

}  // namespace tandem
