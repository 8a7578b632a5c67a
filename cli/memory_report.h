// What a run held in memory beside what its plan said: `tandem run --memory`.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/exec/executor.h"

namespace tandem::cli {

struct MemoryReport {
  MemoryPlan plan;              // of host memory
  int64_t dynamic = 0;          // the most that values took which only the run could size
  int64_t inputs = 0;           // the caller's
  int64_t process_loaded = 0;   // resident at most until the plan was made
  int64_t process = 0;          // resident at most until after the run
  int64_t program = 0;          // of it pages of the program and its libraries, which processes share: the more ops, the more of them
};

// The most this process has been resident so far, in bytes (VmHWM of Linux; 0 where the system does not say).
int64_t process_peak_bytes();

MemoryReport memory_report(const Executor& executor, int64_t inputs, int64_t process_loaded);
nlohmann::json to_json(const MemoryReport& report);
std::string to_text(const MemoryReport& report);

}  // namespace tandem::cli
