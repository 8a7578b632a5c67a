#include "runtime/device/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "kernels/base/error.h"
#include "runtime/device/affinity.h"
#include "runtime/device/cgroup.h"

namespace tandem {
namespace {

struct DestroyTopology {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, DestroyTopology>;

// Null if hwloc knows nothing of this machine.
Topology load_topology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  Topology topology(raw);
  return hwloc_topology_load(raw) == 0 ? std::move(topology) : nullptr;
}

// Processors in logical order.
std::vector<int> allowed_in_logical_order() {
  const Topology topology = load_topology();
  if (!topology) return {};
  const hwloc_topology_t raw = topology.get();
  const hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(raw);
  std::vector<int> cpus;
  for (hwloc_obj_t unit = nullptr; (unit = hwloc_get_next_obj_by_type(raw, HWLOC_OBJ_PU, unit)) != nullptr;)
    if (hwloc_bitmap_isset(allowed, unit->os_index)) cpus.push_back(static_cast<int>(unit->os_index));
  return cpus;
}

}  // namespace

AllowedCpus allowed_cpus() {
  const std::vector<int> own = thread_cpus();
  AllowedCpus result{.cpus = allowed_in_logical_order(), .threads = 1, .note = ""};
  std::erase_if(result.cpus, [&](int cpu) { return !std::binary_search(own.begin(), own.end(), cpu); });
  if (result.cpus.empty()) result.cpus = own;  // hwloc was told of another machine (HWLOC_SYNTHETIC, HWLOC_XMLFILE)

  result.threads = static_cast<int>(result.cpus.size());
  if (const std::optional<double> quota = cgroup_cpu_quota(); quota && *quota < result.threads) {
    result.note =
        "the control group's quota allows " + std::to_string(*quota) + " of " + std::to_string(result.threads) + " processors";
    result.threads = std::max(1, static_cast<int>(*quota));
  }
  return result;
}

MachineDescription describe_machine() {
  MachineDescription machine;
  const Topology topology = load_topology();
  if (!topology) return machine;
  const hwloc_topology_t raw = topology.get();
  machine.processors = std::max(1, hwloc_get_nbobjs_by_type(raw, HWLOC_OBJ_PU));
  if (const hwloc_obj_t package = hwloc_get_obj_by_type(raw, HWLOC_OBJ_PACKAGE, 0))
    if (const char* model = hwloc_obj_get_info_by_name(package, "CPUModel")) machine.processor = model;
  for (const auto& [type, level] : {std::pair{HWLOC_OBJ_L1CACHE, 1}, {HWLOC_OBJ_L2CACHE, 2}, {HWLOC_OBJ_L3CACHE, 3}})
    if (const hwloc_obj_t cache = hwloc_get_obj_by_type(raw, type, 0))
      machine.caches.push_back({.level = level,
                                .bytes = static_cast<int64_t>(cache->attr->cache.size),
                                .processors = std::max(1, hwloc_bitmap_weight(cache->cpuset))});
  return machine;
}

}  // namespace tandem
