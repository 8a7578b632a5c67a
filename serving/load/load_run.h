// Puts load on a server and measures how it bears it.
//
// Closed loop: every connection sends its next request when it has its answer, so a slow server is asked less. Open loop:
// requests are due by a schedule that does not look at the server; one that finds no free connection waits for one. Its latency
// counts from when it was due: a stall is felt by all that came meanwhile ("coordinated omission", G. Tene; wrk2 does the same). What is due within a
// hundredth of the latency of late, and at most 2 ms, is sent together.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "serving/load/latency_histogram.h"
#include "serving/load/load_client.h"

namespace tandem {

enum class Arrivals : uint8_t { kPoisson, kConstant };

struct LoadPlan {
  double rate = 0;  // requests a second; 0: closed loop
  Arrivals arrivals = Arrivals::kPoisson;
  std::chrono::nanoseconds warmup{std::chrono::seconds(1)};  // before anything counts
  std::chrono::nanoseconds time{std::chrono::seconds(5)};
  std::chrono::nanoseconds patience{std::chrono::seconds(10)};  // for answers, and requests not yet sent, after `time`
  uint64_t seed = 1;                                            // of the schedule
};

struct LoadResult {
  LatencyHistogram latency;  // of what was answered well, and due after the warm-up
  int64_t ok = 0;            // here and below: due after the warm-up
  int64_t shed = 0, late = 0, failed = 0;
  int64_t unanswered = 0;  // when patience was over
  int64_t answered = 0;    // well, in `seconds`
  double seconds = 0;

  double rate() const { return seconds > 0 ? static_cast<double>(answered) / seconds : 0; }
};

// Calls `progress` about ten times a second with the share that is done (0 to 1) and the answers so far.
using LoadProgress = std::function<void(double done, const LoadResult& so_far)>;

LoadResult run_load(LoadClient& client, const Clock& clock, const LoadPlan& plan, const LoadProgress& progress = {});

}  // namespace tandem
