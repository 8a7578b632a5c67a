#include "runtime/plan/storage.h"

#include <algorithm>
#include <map>

namespace tandem {
namespace {

class StorageAssignment {
 public:
  StorageAssignment(const Graph& graph, std::span<const Shape> shapes, const std::vector<bool>& dynamic, bool has_feeds)
      : graph_(graph), shapes_(shapes), dynamic_(dynamic), has_feeds_(has_feeds), producers_(graph.producers()), last_use_(graph.values.size(), -1) {
    map_.places.resize(graph.values.size());
  }

  StorageMap run() {
    find_last_uses();
    find_placements();
    for (size_t i = 0; i < graph_.values.size(); ++i) add_standing_value(static_cast<ValueId>(i));
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      for (size_t o = 0; o < graph_.nodes[n].outputs.size(); ++o)
        if (graph_.nodes[n].outputs[o] != kNoValue) place_output(static_cast<int>(n), static_cast<int>(o));
    return std::move(map_);
  }

 private:
  StorageMap::Place& place(ValueId id) { return map_.places[static_cast<size_t>(id)]; }
  Storage& storage(ValueId id) { return map_.storages[static_cast<size_t>(place(id).storage)]; }
  const Value& value(ValueId id) const { return graph_.value(id); }
  bool is_dynamic(ValueId id) const { return dynamic_[static_cast<size_t>(id)]; }
  int64_t bytes(ValueId id) const {
    return checked_mul(shapes_[static_cast<size_t>(id)].elements(), static_cast<int64_t>(size_of(value(id).type.dtype)),
                       value(id).name);
  }

  void find_last_uses() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      for (ValueId id : graph_.nodes[n].inputs)
        if (id != kNoValue) last_use_[static_cast<size_t>(id)] = static_cast<int>(n);
    for (ValueId id : graph_.outputs) last_use_[static_cast<size_t>(id)] = static_cast<int>(graph_.nodes.size());
  }

  const Alias* alias_of(const Node& node, int output, AliasKind kind) const {
    for (const Alias& alias : node.def->aliases)
      if (alias.output == output && alias.kind == kind && static_cast<size_t>(alias.input) < node.inputs.size() &&
          node.inputs[static_cast<size_t>(alias.input)] != kNoValue)
        return &alias;
    return nullptr;
  }

  // The value whose memory `id` is, as long as views only rename all of it.
  ValueId unviewed(ValueId id) const {
    for (int n = producers_[static_cast<size_t>(id)]; n >= 0; n = producers_[static_cast<size_t>(id)]) {
      const Node& node = graph_.nodes[static_cast<size_t>(n)];
      const auto output = static_cast<int>(std::ranges::find(node.outputs, id) - node.outputs.begin());
      const Alias* view = alias_of(node, output, AliasKind::kView);
      if (!view || node.def->view_offset_bytes) break;
      id = node.inputs[static_cast<size_t>(view->input)];
    }
    return id;
  }

  // A result that a kernel writes can be written straight into its place inside the output of the Pack that takes it.
  void find_placements() {
    for (const Node& node : graph_.nodes) {
      if (!node.def->placement_offset_bytes || is_dynamic(node.outputs[0])) continue;
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId id = unviewed(node.inputs[i]);
        const int maker = producers_[static_cast<size_t>(id)];
        if (maker < 0 || graph_.nodes[static_cast<size_t>(maker)].def->cpu == nullptr) continue;
        const Node& made_by = graph_.nodes[static_cast<size_t>(maker)];
        if (has_feeds_ && is_feed(graph_, made_by)) continue;
        const auto output = static_cast<int>(std::ranges::find(made_by.outputs, id) - made_by.outputs.begin());
        if (alias_of(made_by, output, AliasKind::kMust) || alias_of(made_by, output, AliasKind::kView)) continue;
        const int64_t offset = node.def->placement_offset_bytes(graph_, node, static_cast<int>(i));
        if (offset >= 0) placements_.try_emplace(id, Placed{node.outputs[0], offset});
      }
    }
  }

  int new_storage(ValueId owner, Placement placement, int first) {
    map_.storages.push_back({placement, owner, bytes(owner), first, last_use_[static_cast<size_t>(owner)]});
    return static_cast<int>(map_.storages.size() - 1);
  }

  void add_standing_value(ValueId id) {
    const ValueKind kind = value(id).kind;
    if (kind == ValueKind::kResult || is_dynamic(id)) return;
    const Placement placement = kind == ValueKind::kInput      ? Placement::kInput
                                : kind == ValueKind::kConstant ? Placement::kConstant
                                                               : Placement::kState;
    place(id) = {new_storage(id, placement, 0), 0};
  }

  void share(ValueId id, int at, int64_t offset) {
    place(id) = {at, offset};
    Storage& shared = map_.storages[static_cast<size_t>(at)];
    shared.last = std::max(shared.last, last_use_[static_cast<size_t>(id)]);
  }

  void place_output(int n, int output) {
    const Node& node = graph_.nodes[static_cast<size_t>(n)];
    const ValueId id = node.outputs[static_cast<size_t>(output)];
    if (is_dynamic(id) || place(id).storage >= 0) return;  // a Pack output, already made by the first value placed in it
    if (const Alias* must = alias_of(node, output, AliasKind::kMust)) return share_input(node, id, must->input, 0);
    if (const Alias* view = alias_of(node, output, AliasKind::kView))
      return share_input(node, id, view->input, node.def->view_offset_bytes ? node.def->view_offset_bytes(graph_, node) : 0);
    if (has_feeds_ && is_feed(graph_, node)) {
      place(id) = {new_storage(id, Placement::kFeed, n), 0};
      return;
    }
    if (const auto placed = placements_.find(id); placed != placements_.end()) {
      const ValueId pack = placed->second.pack;
      if (place(pack).storage < 0) place(pack) = {new_storage(pack, Placement::kArena, n), 0};
      return share(id, place(pack).storage, place(pack).offset + placed->second.offset);
    }
    for (const Alias& alias : node.def->aliases)
      if (alias.output == output && alias.kind == AliasKind::kMay && can_take_over(n, node, alias, id))
        return share_input(node, id, alias.input, 0);
    place(id) = {new_storage(id, Placement::kArena, n), 0};
    Storage& own = storage(id);
    own.last = std::max(own.last, n);  // even an output that nobody reads is written
  }

  void share_input(const Node& node, ValueId id, int input, int64_t offset) {
    const StorageMap::Place from = place(node.inputs[static_cast<size_t>(input)]);
    share(id, from.storage, from.offset + offset);
  }

  bool can_take_over(int n, const Node& node, const Alias& alias, ValueId id) {
    if (static_cast<size_t>(alias.input) >= node.inputs.size()) return false;
    const ValueId from = node.inputs[static_cast<size_t>(alias.input)];
    if (from == kNoValue) return false;
    const Storage& memory = storage(from);
    if (memory.placement != Placement::kArena || memory.last > n || memory.bytes != bytes(id) || bytes(from) != bytes(id))
      return false;
    if (value(from).type.dims != value(id).type.dims) return false;  // equal at the bounds only
    const int at = place(from).storage;
    return std::ranges::count_if(node.inputs, [&](ValueId other) { return other != kNoValue && place(other).storage == at; }) ==
               1 &&
           std::ranges::none_of(node.outputs, [&](ValueId other) { return other != kNoValue && place(other).storage == at; });
  }

  struct Placed {
    ValueId pack;
    int64_t offset;
  };
  const Graph& graph_;
  std::span<const Shape> shapes_;
  const std::vector<bool>& dynamic_;
  bool has_feeds_;
  std::vector<int> producers_;
  std::vector<int> last_use_;
  std::map<ValueId, Placed> placements_;
  StorageMap map_;
};

}  // namespace

StorageMap assign_storage(const Graph& graph, std::span<const Shape> shapes, const std::vector<bool>& dynamic, bool has_feeds) {
  return StorageAssignment(graph, shapes, dynamic, has_feeds).run();
}

}  // namespace tandem
