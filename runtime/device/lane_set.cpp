#include <cstdint>

#include "kernels/base/error.h"
#include "runtime/device/lane.h"
#include "runtime/device/topology.h"

namespace tandem {

LaneSet::LaneSet(const LaneSetOptions& options) {
  require(options.lanes >= 1 && options.threads >= 1, "lanes and their threads must be at least 1", options.lanes,
          options.threads);
  const AllowedCpus allowed = allowed_cpus();
  require(options.threads <= allowed.threads / options.lanes, "lanes x threads is more than the processors this process may use",
          std::to_string(options.lanes) + " x " + std::to_string(options.threads), allowed.threads, allowed.note);
  // Neighbours in logical order, so that a lane's team shares caches. Under a quota processors are left over, and the lanes
  // spread.
  const size_t per_lane = allowed.cpus.size() / static_cast<size_t>(options.lanes);
  for (size_t lane = 0; lane < static_cast<size_t>(options.lanes); ++lane) {
    LaneOptions one{
        .threads = options.threads, .cpus = {}, .queue_capacity = options.queue_capacity, .name = "lane " + std::to_string(lane)};
    if (options.pin) {
      const auto first = allowed.cpus.begin() + static_cast<ptrdiff_t>(lane * per_lane);
      one.cpus.assign(first, first + static_cast<ptrdiff_t>(per_lane));
    }
    lanes_.push_back(std::make_unique<Lane>(std::move(one)));
  }
}

Lane& LaneSet::least_loaded() {
  Lane* best = nullptr;
  size_t least = SIZE_MAX;
  for (const std::unique_ptr<Lane>& lane : lanes_)
    if (const size_t load = lane->load(); load < least) {
      best = lane.get();
      least = load;
    }
  return *best;
}

void LaneSet::stop(Lane::Stop how) {
  for (const std::unique_ptr<Lane>& lane : lanes_) lane->stop(how);
}

}  // namespace tandem
