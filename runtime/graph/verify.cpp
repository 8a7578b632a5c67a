#include <set>

#include "runtime/graph/graph.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph), ready_(graph.values.size()), replaced_(graph.values.size()) {}

  void run() {
    check_values();
    for (const Node& node : graph_.nodes) check_node(node);
    for (ValueId id : graph_.outputs) {
      require(in_range(id), "a graph output names no value", id);
      require(ready_[index(id)], "a graph output is never made", graph_.value(id).name);
    }
  }

 private:
  static size_t index(ValueId id) { return static_cast<size_t>(id); }
  bool in_range(ValueId id) const { return id >= 0 && index(id) < graph_.values.size(); }

  void check_values() {
    std::set<std::string_view> names;
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const Value& value = graph_.values[i];
      require(names.insert(value.name).second, "two values have one name", value.name);
      ready_[i] = value.kind != ValueKind::kResult;
      if (value.kind == ValueKind::kConstant || value.kind == ValueKind::kState)
        require(static_cast<bool>(value.data), "a constant or state has no content", value.name);
    }
    for (ValueId id : graph_.inputs)
      require(in_range(id) && graph_.value(id).kind == ValueKind::kInput, "a graph input is not of that kind", id);
  }

  void check_node(const Node& node) {
    ensure(node.def != nullptr, "a node has no definition", node.name);
    for (ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      require(in_range(id), "a node reads no value", node.name, id);
      require(ready_[index(id)], "a value is read before it is made (value, node)", graph_.value(id).name, node.name);
      require(!replaced_[index(root(id))], "a state is read after it was replaced (value, node)", graph_.value(id).name,
              node.name);
    }
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      require(in_range(id) && graph_.value(id).kind == ValueKind::kResult, "a node writes no result value", node.name, id);
      require(!ready_[index(id)], "a value is made twice (value, node)", graph_.value(id).name, node.name);
      require(graph_.value(id).type.dtype != DType::kUndefined, "a value has no type (value, node)", graph_.value(id).name,
              node.name);
      ready_[index(id)] = true;
    }
    follow_aliases(node);
  }

  void follow_aliases(const Node& node) {
    for (const Alias& alias : node.def->aliases) {
      if (alias.kind == AliasKind::kMay || index(alias.output) >= node.outputs.size() || index(alias.input) >= node.inputs.size())
        continue;
      const ValueId from = node.inputs[index(alias.input)], to = node.outputs[index(alias.output)];
      if (from == kNoValue || to == kNoValue) continue;
      if (alias.kind == AliasKind::kView) view_of_.emplace(to, root(from));
      if (alias.kind == AliasKind::kMust) {
        require(graph_.value(root(from)).kind == ValueKind::kState, "only a state can be replaced (value, node)",
                graph_.value(from).name, node.name);
        replaced_[index(root(from))] = true;
      }
    }
  }

  ValueId root(ValueId id) const {
    const auto found = view_of_.find(id);
    return found == view_of_.end() ? id : found->second;
  }

  const Graph& graph_;
  std::vector<bool> ready_, replaced_;
  std::map<ValueId, ValueId> view_of_;
};

}  // namespace

void verify(const Graph& graph) {
  Verifier(graph).run();
  // The types must be those that the ops infer.
  Graph again = graph;
  for (const Node& node : graph.nodes) {
    infer_types(again, node);
    for (ValueId id : node.outputs)
      if (id != kNoValue) {
        const TensorType &was = graph.value(id).type, &is = again.value(id).type;
        require(was.dtype == is.dtype, "a value's type is not what its node makes (value, has, expected)", graph.value(id).name,
                name(was.dtype), name(is.dtype));
      }
  }
}

}  // namespace tandem
