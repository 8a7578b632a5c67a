#include "runtime/exec/timing.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kFewestRuns = 5;

double milliseconds(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

double processor_milliseconds() {
  timespec time;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

}  // namespace

Timing time_runs(double seconds, const std::function<void()>& run) {
  std::vector<double> times;
  const double processor_start = processor_milliseconds();
  const auto start = Clock::now();
  for (auto before = start; milliseconds(before - start) < 1e3 * seconds || times.size() < kFewestRuns;) {
    run();
    const auto after = Clock::now();
    times.push_back(milliseconds(after - before));
    before = after;
  }
  const double processor = processor_milliseconds() - processor_start;
  std::ranges::sort(times);
  return {.runs = times.size(),
          .median_ms = times[times.size() / 2],
          .p99_ms = times[times.size() * 99 / 100],
          .min_ms = times.front(),
          .processor_ms = processor / static_cast<double>(times.size())};
}

}  // namespace tandem
