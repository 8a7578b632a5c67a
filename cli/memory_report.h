// What a process that runs a plan will hold, and what a run held in the end: `tandem inspect --plan`, `tandem run --memory`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "runtime/exec/executor.h"

namespace tandem::cli {

// What this process comes to when it runs a plan that it has just made, in bytes. What the plan says and what the system says of the process now;
// without what only the run can size.
struct ProcessFigure {
  int64_t loaded = 0;   // the most the process held until now: while the model was read, rewritten and packed
  int64_t program = 0;  // pages of the program and its libraries now
  int64_t heap = 0;     // what the process holds beside tensors: the graph, the plan
  int64_t loading = 0;  // of `loaded`, the most that weights took until all were packed
  int64_t weights = 0, activations = 0, inputs = 0;
  int64_t first_run = 0;  // pages of the program that only a run touches
  int64_t running() const { return program + heap + weights + activations + inputs + first_run; }
  int64_t total() const { return std::max(loaded, running()); }
};

// `inputs`: bytes of a feed; that of the plan's bounds without.
ProcessFigure process_figure(const Plan& plan, std::optional<int64_t> inputs = {});
nlohmann::json to_json(const ProcessFigure& figure);
std::string to_text(const ProcessFigure& figure);

struct MemoryReport {
  MemoryPlan plan;              // of host memory
  int64_t dynamic = 0;          // the most that values took which only the run could size
  ProcessFigure expected;       // before the run
  int64_t process = 0;          // resident at most until after the run
  int64_t program = 0;          // of it pages of the program and its libraries, which processes share: the more ops, the more of them
};

// The most this process has been resident so far, in bytes (VmHWM of Linux; 0 where the system does not say).
int64_t process_peak_bytes();

MemoryReport memory_report(const Executor& executor, const ProcessFigure& expected);
nlohmann::json to_json(const MemoryReport& report);
std::string to_text(const MemoryReport& report);

}  // namespace tandem::cli
