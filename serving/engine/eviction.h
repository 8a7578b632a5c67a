// Which models make room for another: a pure function of who was used when.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serving/batching/clock.h"

namespace tandem {

struct ResidentModel {
  std::string name;
  int64_t bytes = 0;  // that go with it
  Clock::TimePoint last_used{};
  bool is_kept = false;  // in use, pinned or leased
};

// The least recently used ones that together hold `bytes`, those first that go first. Empty if all that may go would not suffice: nobody
// is evicted in vain.
std::vector<std::string> models_to_evict(std::vector<ResidentModel> models, int64_t bytes);

}  // namespace tandem
