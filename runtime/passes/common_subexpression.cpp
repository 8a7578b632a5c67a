// Value numbering: a node that does the same as an earlier one (definition, attributes, inputs) is taken out, as is a constant
// that holds the same as an earlier one. One sweep in running order, so that whole repeated subgraphs collapse.
#include <algorithm>
#include <unordered_map>

#include "runtime/graph/rewrite.h"
#include "runtime/graph/op_def.h"
#include "runtime/passes/content_hash.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

constexpr int kMostCandidates = 32;  // compared under one hash: made-up collisions must not cost quadratic time

// Effects happen as often as they are written, and two random masks are two.
bool may_merge(const OpDef& def) {
  return !def.stateful && def.name != "Dropout" &&
         std::ranges::none_of(def.aliases, [](const Alias& alias) { return alias.kind == AliasKind::kMust; });
}

uint64_t hash_of(const Node& node) {
  uint64_t hash = mix(node.outputs.size(), reinterpret_cast<uintptr_t>(node.def));
  for (ValueId id : node.inputs) hash = mix(hash, static_cast<uint64_t>(id));
  for (const auto& [name, attribute] : node.attributes) hash = mix(hash, content_hash(attribute));
  return hash;
}

bool same(const Node& a, const Node& b) {
  const auto equal_attribute = [](const auto& x, const auto& y) { return x.first == y.first && identical(x.second, y.second); };
  return a.def == b.def && a.inputs == b.inputs && a.outputs.size() == b.outputs.size() &&
         std::ranges::equal(a.attributes, b.attributes, equal_attribute);
}

// The items seen so far under their hashes.
class Seen {
 public:
  // The first earlier item for which `equal` holds; else -1, and `item` is remembered.
  template <class Equal>
  int find_or_add(uint64_t hash, int item, Equal equal) {
    auto [first, last] = items_.equal_range(hash);
    for (int tried = 0; first != last && tried < kMostCandidates; ++first, ++tried)
      if (equal(first->second)) return first->second;
    items_.emplace(hash, item);
    return -1;
  }

 private:
  std::unordered_multimap<uint64_t, int> items_;
};

int merge_constants(Graph& graph, ValueReplacement& replacement) {
  Seen seen;
  int changes = 0;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    const Value& value = graph.values[v];
    if (value.kind != ValueKind::kConstant) continue;
    const ValueId earlier = seen.find_or_add(content_hash(value.data), static_cast<int>(v), [&](ValueId candidate) {
      return identical(graph.value(candidate).data, value.data);
    });
    if (earlier >= 0) changes += replacement.replace(static_cast<ValueId>(v), earlier);
  }
  return changes;
}

// An output that the earlier node leaves out cannot be had from it.
bool makes_all_of(const Node& earlier, const Node& node) {
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoValue && earlier.outputs[i] == kNoValue) return false;
  return true;
}

bool replace_outputs(ValueReplacement& replacement, const Node& node, const Node& earlier) {
  bool all = true;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoValue) all &= replacement.replace(node.outputs[i], earlier.outputs[i]);
  return all;
}

int apply(Graph& graph, PassNotes&) {
  ValueReplacement replacement(graph);
  int changes = merge_constants(graph, replacement);
  Seen seen;
  std::vector<bool> removed(graph.nodes.size());
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    Node& node = graph.nodes[n];
    for (ValueId& id : node.inputs) id = replacement.current(id);
    if (!may_merge(*node.def)) continue;
    const int earlier = seen.find_or_add(hash_of(node), static_cast<int>(n), [&](int m) {
      const Node& candidate = graph.nodes[static_cast<size_t>(m)];
      return same(candidate, node) && makes_all_of(candidate, node);
    });
    if (earlier < 0 || !replace_outputs(replacement, node, graph.nodes[static_cast<size_t>(earlier)])) continue;
    removed[n] = true;
    ++changes;
  }
  replacement.apply();
  erase_nodes(graph, removed);
  drop_unused_values(graph);
  return changes;
}

}  // namespace

const Pass common_subexpression_pass = {"common_subexpression", "merge nodes and constants that are there twice", apply};

}  // namespace tandem
