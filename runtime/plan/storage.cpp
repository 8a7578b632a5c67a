#include "runtime/plan/storage.h"

#include <algorithm>
#include <map>

#include "runtime/passes/state_views.h"
#include "kernels/base/checked.h"
#include "runtime/plan/offsets.h"
#include "runtime/plan/parts.h"

namespace tandem {
namespace {

class StorageAssignment {
 public:
  StorageAssignment(const Graph& graph, std::span<const Shape> shapes, const std::vector<bool>& dynamic, bool has_feeds,
                    const std::vector<bool>& may_elide)
      : graph_(graph),
        shapes_(shapes),
        dynamic_(dynamic),
        has_feeds_(has_feeds),
        may_elide_(may_elide),
        parts_(graph, shapes),
        producers_(graph.producers()),
        last_use_(graph.values.size(), -1),
        is_part_(graph.nodes.size()) {
    map_.places.resize(graph.values.size());
    map_.in_place.resize(graph.nodes.size());
  }

  StorageMap run() {
    find_last_uses();
    find_parts();
    find_placements();
    for (size_t i = 0; i < graph_.values.size(); ++i) add_standing_value(static_cast<ValueId>(i));
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      for (size_t o = 0; o < graph_.nodes[n].outputs.size(); ++o)
        if (graph_.nodes[n].outputs[o] != kNoValue) place_output(static_cast<int>(n), static_cast<int>(o));
    for (size_t n = 0; n < graph_.nodes.size(); ++n) map_.in_place[n] = is_part_[n] || is_joined(n);
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

  // A part of a state is a copy: the state changes.
  void find_parts() {
    StateViews states(graph_);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      states.follow(node);
      if (node.inputs.empty() || node.inputs[0] == kNoValue || states.contains(node.inputs[0]) || is_dynamic(node.inputs[0])) continue;
      bool all = may_elide_[n] && !node.outputs.empty();
      for (size_t o = 0; all && o < node.outputs.size(); ++o)
        all = node.outputs[o] != kNoValue && !is_dynamic(node.outputs[o]) && parts_.offset_in_input(node, o);
      is_part_[n] = all;
    }
  }

  int64_t placement_offset(const Node& node, size_t i) const {
    if (node.def->placement_offset_bytes) return node.def->placement_offset_bytes(graph_, node, static_cast<int>(i));
    return parts_.offset_in_output(node, i).value_or(-1);
  }

  // A result that a kernel writes can be written straight into its place inside the output of the Pack or Concat that takes it: of several the
  // last one, which has most in it; so a Concat whose output lies in a later one is found after that.
  void find_placements() {
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const Node& node = graph_.nodes[n];
      if (node.outputs.empty() || node.outputs[0] == kNoValue || is_dynamic(node.outputs[0])) continue;
      if (!node.def->placement_offset_bytes && !may_join(n)) continue;
      Placed whole{node.outputs[0], 0};
      if (const auto outer = placements_.find(whole.pack); outer != placements_.end()) whole = outer->second;
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId id = unviewed(node.inputs[i]);
        if (!can_be_placed(id)) continue;
        if (const int64_t offset = placement_offset(node, i); offset >= 0) placements_.try_emplace(id, Placed{whole.pack, whole.offset + offset});
      }
    }
  }

  bool can_be_placed(ValueId id) const {
    const int maker = producers_[static_cast<size_t>(id)];
    if (maker < 0 || is_part_[static_cast<size_t>(maker)]) return false;
    const Node& made_by = graph_.nodes[static_cast<size_t>(maker)];
    if (made_by.def->cpu == nullptr || (has_feeds_ && is_feed(graph_, made_by))) return false;
    const auto output = static_cast<int>(std::ranges::find(made_by.outputs, id) - made_by.outputs.begin());
    return !alias_of(made_by, output, AliasKind::kMust) && !alias_of(made_by, output, AliasKind::kView);
  }

  bool may_join(size_t n) const {
    const Node& node = graph_.nodes[n];
    return may_elide_[n] && node.def->name == "Concat" && node.def->domain.empty() && !is_dynamic(node.outputs[0]);
  }

  // All inputs of a Concat lie one after the other already.
  bool lies_joined(size_t n) {
    if (!may_join(n)) return false;
    const Node& node = graph_.nodes[n];
    const StorageMap::Place first = place(node.inputs[0]);
    if (first.storage < 0 || map_.storages[static_cast<size_t>(first.storage)].placement == Placement::kState) return false;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const auto offset = parts_.offset_in_output(node, i);
      const StorageMap::Place at = place(node.inputs[i]);
      if (!offset || at.storage != first.storage || at.offset != first.offset + *offset) return false;
    }
    return true;
  }
  // ... in its output.
  bool is_joined(size_t n) {
    const Node& node = graph_.nodes[n];
    return lies_joined(n) && place(node.outputs[0]).storage == place(node.inputs[0]).storage &&
           place(node.outputs[0]).offset == place(node.inputs[0]).offset;
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
    if (is_part_[static_cast<size_t>(n)]) return share_input(node, id, 0, *parts_.offset_in_input(node, static_cast<size_t>(output)));
    if (has_feeds_ && is_feed(graph_, node)) {
      place(id) = {new_storage(id, Placement::kFeed, n), 0};
      return;
    }
    if (const auto placed = placements_.find(id); placed != placements_.end()) {
      const ValueId pack = placed->second.pack;
      if (place(pack).storage < 0) {
        place(pack) = {new_storage(pack, Placement::kArena, n), 0};
        storage(pack).last = std::max(storage(pack).last, producers_[static_cast<size_t>(pack)]);
      }
      return share(id, place(pack).storage, place(pack).offset + placed->second.offset);
    }
    if (lies_joined(static_cast<size_t>(n))) return share_input(node, id, 0, 0);
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
  const std::vector<bool>& may_elide_;  // by node: Slices, Concats and the like that need not copy
  Parts parts_;
  std::vector<int> producers_;
  std::vector<int> last_use_;
  std::vector<bool> is_part_;  // by node: its outputs are views of its input
  std::map<ValueId, Placed> placements_;
  StorageMap map_;
};

// The step at which most of the arena is in use, and how much.
struct Peak {
  int step = 0;
  int64_t bytes = 0;
};
Peak peak_of(const StorageMap& map) {
  std::map<int, int64_t> change;
  for (const Storage& storage : map.storages) {
    if (storage.placement != Placement::kArena) continue;
    change[storage.first] += round_up(storage.bytes, kArenaAlignment);
    change[storage.last + 1] -= round_up(storage.bytes, kArenaAlignment);
  }
  Peak peak;
  int64_t alive = 0;
  for (const auto& [step, bytes] : change)
    if (alive += bytes; alive > peak.bytes) peak = {step, alive};
  return peak;
}

constexpr int kMostRounds = 8;

}  // namespace

// A part keeps all of its tensor alive, and the memory of a Concat is there from its first input on: copies are left out as long as that takes
// no more memory. Those at the peak are given up first.
StorageMap assign_storage(const Graph& graph, std::span<const Shape> shapes, const std::vector<bool>& dynamic, bool has_feeds) {
  std::vector<bool> may_elide(graph.nodes.size());
  const auto assigned = [&] { return StorageAssignment(graph, shapes, dynamic, has_feeds, may_elide).run(); };
  StorageMap plain = assigned();
  if (has_feeds) return plain;  // views on a GPU: not yet
  const int64_t most = peak_of(plain).bytes;
  constexpr std::string_view kCopies[] = {"Concat", "Gather", "Slice", "Split"};
  for (size_t n = 0; n < may_elide.size(); ++n)
    may_elide[n] = graph.nodes[n].def->domain.empty() && std::ranges::find(kCopies, graph.nodes[n].def->name) != std::end(kCopies);
  for (int round = 0; round < kMostRounds && std::ranges::find(may_elide, true) != may_elide.end(); ++round) {
    StorageMap map = assigned();
    const Peak peak = peak_of(map);
    if (peak.bytes <= most) return map;
    for (size_t n = 0; n < may_elide.size(); ++n) {
      if (!may_elide[n] || graph.nodes[n].outputs[0] == kNoValue) continue;
      const int at = map.places[static_cast<size_t>(graph.nodes[n].outputs[0])].storage;
      if (at < 0) continue;
      const Storage& storage = map.storages[static_cast<size_t>(at)];
      if (storage.first <= peak.step && peak.step <= storage.last) may_elide[n] = false;
    }
  }
  return plain;
}

}  // namespace tandem
