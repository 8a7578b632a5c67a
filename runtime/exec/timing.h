// How long something takes that is run again and again.
#pragma once

#include <cstddef>
#include <functional>

namespace tandem {

struct Timing {
  size_t runs = 0;
  double median_ms = 0, p99_ms = 0, min_ms = 0;  // by the wall's clock
  double processor_ms = 0;                       // of all threads of the process, a run: what a busy machine does not add to
};

// Calls `run` for `seconds`, at least five times. It should have run before: nothing is left out here.
Timing time_runs(double seconds, const std::function<void()>& run);

}  // namespace tandem
