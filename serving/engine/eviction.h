// Which models make room for another: a pure function of who was used when, and who holds what.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serving/batching/clock.h"
#include "serving/core/memory_budget.h"

namespace tandem {

struct ResidentModel {
  std::string name;
  int64_t own = 0;                      // bytes that go with it
  std::vector<MemoryPart> shared = {};  // that go with the last model that has them
  Clock::TimePoint last_used{};
  bool is_kept = false;  // in use, pinned or leased
};

// Of all that hold memory, the least recently used ones that together give back `bytes`, those first that go first. Empty if all that may go would not
// suffice, and without those that are not needed for it: nobody is evicted in vain.
std::vector<std::string> models_to_evict(std::vector<ResidentModel> models, int64_t bytes);

}  // namespace tandem
