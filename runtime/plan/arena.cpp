#include "runtime/plan/arena.h"

#include <algorithm>

#include "kernels/base/block.h"
#include "runtime/plan/offsets.h"

namespace tandem {
namespace {

constexpr int64_t kFeedAlignment = 256;

Space space_of(const Plan& plan, const Storage& storage) { return plan.placement.values[static_cast<size_t>(storage.owner)]; }

// The storages of one arena; `which` becomes their numbers.
std::vector<Block> blocks_of(const Plan& plan, const StorageMap& map, Space space, std::vector<size_t>& which) {
  std::vector<Block> blocks;
  which.clear();
  for (size_t s = 0; s < map.storages.size(); ++s) {
    const Storage& storage = map.storages[s];
    if (storage.placement != Placement::kArena || space_of(plan, storage) != space) continue;
    blocks.push_back({storage.bytes, storage.first, storage.last});
    which.push_back(s);
  }
  return blocks;
}

// Constants, as far as they are in memory: of each what no kernel has packed, and what kernels keep.
void count_constants(Plan& plan) {
  plan.host.constants = plan.packs->bytes();
  plan.device.constants = 0;
  for (size_t i = 0; i < plan.graph.values.size(); ++i) {
    const Value& value = plan.graph.values[i];
    if (value.kind != ValueKind::kConstant || !value.data) continue;
    const size_t bytes = value.data.bytes();
    (plan.placement.values[i] == Space::kHost ? plan.host : plan.device).constants += static_cast<int64_t>(bytes);
    if (bytes < kOwnPages) plan.host.constants_in_heap += static_cast<int64_t>(bytes);  // those for a GPU are there too
  }
  for (const Step& step : plan.steps)
    (step.kind == StepKind::kDevice ? plan.device : plan.host).constants += static_cast<int64_t>(step.kernel.constant_bytes);
}

void count_states(Plan& plan, const StorageMap& map) {
  plan.host.states = plan.device.states = 0;
  for (const Storage& storage : map.storages)
    if (storage.placement == Placement::kState) (space_of(plan, storage) == Space::kHost ? plan.host : plan.device).states += storage.bytes;
}

// Where each storage begins in the arena, or the feed buffer, of its space; where each kernel's scratch does.
class Layout {
 public:
  Layout(Plan& plan, const StorageMap& map) : plan_(plan), map_(map), offsets_(map.storages.size()) {
    pack_arena(Space::kHost, plan.host);
    pack_arena(Space::kDevice, plan.device);
    line_up_feeds();
  }
  int64_t of(int storage) const { return offsets_[static_cast<size_t>(storage)]; }

 private:
  void pack_arena(Space space, MemoryPlan& memory) {
    std::vector<size_t> storages, steps;
    std::vector<Block> blocks = blocks_of(plan_, map_, space, storages);
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      const Step& step = plan_.steps[s];
      const auto bytes = static_cast<int64_t>(step.kernel.workspace);
      if (bytes == 0 || (step.kind == StepKind::kDevice) != (space == Space::kDevice)) continue;
      if (plan_.on_device()) {
        memory.workspace = std::max(memory.workspace, bytes);
        continue;
      }
      memory.scratch = std::max(memory.scratch, bytes);
      blocks.push_back({bytes, step.node, step.node});
      steps.push_back(s);
    }
    const Packing packing = pack(blocks);
    for (size_t b = 0; b < storages.size(); ++b) offsets_[storages[b]] = packing.offsets[b];
    for (size_t b = 0; b < steps.size(); ++b) plan_.steps[steps[b]].scratch_offset = packing.offsets[storages.size() + b];
    memory.arena = packing.bytes;
    memory.lower_bound = lower_bound(blocks);
  }

  // One after the other; the host has a pinned buffer of the same layout.
  void line_up_feeds() {
    for (size_t s = 0; s < map_.storages.size(); ++s) {
      if (map_.storages[s].placement != Placement::kFeed || space_of(plan_, map_.storages[s]) != Space::kDevice) continue;
      offsets_[s] = plan_.device.feeds;
      plan_.device.feeds += round_up(map_.storages[s].bytes, kFeedAlignment);
    }
    plan_.host.feeds = plan_.device.feeds;
  }

  Plan& plan_;
  const StorageMap& map_;
  std::vector<int64_t> offsets_;
};

}  // namespace

void estimate_memory(Plan& plan, const StorageMap& map) {
  std::vector<size_t> which;
  plan.host.arena = plan.host.lower_bound = lower_bound(blocks_of(plan, map, Space::kHost, which));
  plan.device.arena = plan.device.lower_bound = lower_bound(blocks_of(plan, map, Space::kDevice, which));
  count_constants(plan);
  count_states(plan, map);
}

void plan_memory(Plan& plan, const StorageMap& map) {
  const Layout offsets(plan, map);
  count_constants(plan);
  plan.buffers.resize(plan.graph.values.size());
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const auto [s, offset] = map.places[i];
    if (plan.dynamic[i]) plan.buffers[i].placement = Placement::kDynamic;
    if (s < 0) continue;
    const Storage& storage = map.storages[static_cast<size_t>(s)];
    const auto bytes = plan.shapes[i].elements() * static_cast<int64_t>(size_of(plan.graph.values[i].type.dtype));
    plan.buffers[i] = {storage.placement, plan.placement.values[i], storage.owner, offsets.of(s) + offset, bytes,
                       storage.first, storage.last};
  }
}

}  // namespace tandem
