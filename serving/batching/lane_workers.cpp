#include "serving/batching/lane_workers.h"

#include <vector>

#include "runtime/device/affinity.h"

namespace tandem {
namespace {

// Where the system has taken these away meanwhile, the thread stays where it is.
void try_cpus(std::span<const int> cpus) {
  try {
    set_thread_cpus(cpus);
  } catch (const Error&) {
  }
}

}  // namespace

void LaneWorkers::run_across(int lane, int lanes, const std::function<void()>& work) {
  const std::vector<int>& own = lanes_[static_cast<size_t>(lane)].options().cpus;
  if (own.empty()) return work();
  std::vector<int> all;
  for (int i = lane; i < lane + lanes; ++i) {
    const std::vector<int>& cpus = lanes_[static_cast<size_t>(i)].options().cpus;
    all.insert(all.end(), cpus.begin(), cpus.end());
  }
  try_cpus(all);  // threads that the team is still short of get these too
  work();
  try_cpus(own);
}

}  // namespace tandem
