#include "runtime/plan/node_order.h"

#include <algorithm>
#include <set>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

class FrugalOrder {
 public:
  FrugalOrder(const Graph& graph, std::span<const Shape> shapes)
      : graph_(graph), shapes_(shapes), roots_(graph.values.size()), readers_(graph.values.size()), left_(graph.values.size(), 0),
        waits_for_(graph.nodes.size(), 0), done_(graph.nodes.size(), false), added_(graph.nodes.size(), 0) {}

  std::vector<int> run() {
    find_roots();
    find_readers();
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      if (waits_for_[n] == 0) make_ready(static_cast<int>(n));
    std::vector<int> order;
    while (!ready_.empty()) {
      const int n = ready_.begin()->second;
      ready_.erase(ready_.begin());
      order.push_back(n);
      finish(n);
    }
    return order;
  }

 private:
  const Node& node(int n) const { return graph_.nodes[static_cast<size_t>(n)]; }
  ValueId root(ValueId id) const { return roots_[static_cast<size_t>(id)]; }
  int& left(ValueId id) { return left_[static_cast<size_t>(id)]; }
  int64_t bytes(ValueId id) const {
    return shapes_[static_cast<size_t>(id)].elements() * static_cast<int64_t>(size_of(graph_.value(id).type.dtype));
  }

  // A view is the memory of what it shows.
  void find_roots() {
    for (size_t i = 0; i < roots_.size(); ++i) roots_[i] = static_cast<ValueId>(i);
    for (const Node& node : graph_.nodes)
      for (const Alias& alias : node.def->aliases)
        if (alias.kind == AliasKind::kView && node.outputs[static_cast<size_t>(alias.output)] != kNoValue)
          roots_[static_cast<size_t>(node.outputs[static_cast<size_t>(alias.output)])] = root(node.inputs[static_cast<size_t>(alias.input)]);
  }

  // The values it reads, and the memory under them, each once.
  std::vector<ValueId> inputs_of(int n, bool roots) const {
    std::vector<ValueId> ids;
    for (ValueId id : node(n).inputs)
      if (id != kNoValue) ids.push_back(roots ? root(id) : id);
    std::ranges::sort(ids);
    ids.erase(std::ranges::unique(ids).begin(), ids.end());
    return ids;
  }

  void find_readers() {
    const std::vector<int> producers = graph_.producers();
    int last_effect = -1;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const int n = static_cast<int>(i);
      for (ValueId id : inputs_of(n, true)) {
        readers_[static_cast<size_t>(id)].push_back(n);
        ++left(id);
      }
      for (ValueId id : inputs_of(n, false))
        if (const int maker = producers[static_cast<size_t>(id)]; maker >= 0) add_edge(maker, n);
      if (!node(n).def->stateful) continue;
      if (last_effect >= 0) add_edge(last_effect, n);
      last_effect = n;
    }
    for (ValueId id : graph_.outputs) ++left(root(id));
  }

  void add_edge(int before, int after) {
    if (after_.empty()) after_.resize(graph_.nodes.size());
    after_[static_cast<size_t>(before)].push_back(after);
    ++waits_for_[static_cast<size_t>(after)];
  }

  // What is alive beyond the step, less what was alive before it.
  int64_t added_by(int n) {
    int64_t added = 0;
    for (ValueId id : node(n).outputs)
      if (id != kNoValue && root(id) == id && left(id) > 0) added += bytes(id);
    for (ValueId id : inputs_of(n, true))
      if (graph_.value(id).kind == ValueKind::kResult && left(id) == 1) added -= bytes(id);
    return added;
  }

  void make_ready(int n) {
    added_[static_cast<size_t>(n)] = added_by(n);
    ready_.emplace(added_[static_cast<size_t>(n)], n);
  }

  void finish(int n) {
    done_[static_cast<size_t>(n)] = true;
    for (ValueId id : inputs_of(n, true))
      if (--left(id) == 1) reconsider_last_reader(id);
    if (after_.empty()) return;
    for (int next : after_[static_cast<size_t>(n)])
      if (--waits_for_[static_cast<size_t>(next)] == 0) make_ready(next);
  }

  // It frees the value, which it did not before.
  void reconsider_last_reader(ValueId id) {
    const auto& readers = readers_[static_cast<size_t>(id)];
    const auto last = std::ranges::find_if(readers, [&](int n) { return !done_[static_cast<size_t>(n)]; });
    if (last == readers.end() || ready_.erase({added_[static_cast<size_t>(*last)], *last}) == 0) return;
    make_ready(*last);
  }

  const Graph& graph_;
  std::span<const Shape> shapes_;
  std::vector<ValueId> roots_;             // by value: the one whose memory it is
  std::vector<std::vector<int>> readers_;  // by root
  std::vector<int> left_;                  // by root: readers to come; being an output is one that never comes
  std::vector<std::vector<int>> after_;    // by node
  std::vector<int> waits_for_;
  std::vector<bool> done_;
  std::vector<int64_t> added_;
  std::set<std::pair<int64_t, int>> ready_;
};

}  // namespace

std::optional<std::vector<int>> frugal_order(const Graph& graph, std::span<const Shape> shapes) {
  if (std::ranges::any_of(graph.values, [](const Value& value) { return value.kind == ValueKind::kState; })) return std::nullopt;
  return FrugalOrder(graph, shapes).run();
}

}  // namespace tandem
