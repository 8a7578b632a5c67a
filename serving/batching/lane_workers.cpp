#include "serving/batching/lane_workers.h"

namespace tandem {

void LaneWorkers::submit(std::function<void(int lane)> task, std::function<void(const Error&)> dropped) {
  size_t best = 0;
  for (size_t i = 1, least = lanes_[0].load(); least > 0 && i < lanes_.size(); ++i)
    if (const size_t load = lanes_[i].load(); load < least) {
      least = load;
      best = i;
    }
  lanes_[best].submit(Task([task = std::move(task), lane = static_cast<int>(best)] { task(lane); }, std::move(dropped)));
}

}  // namespace tandem
