// What `tandem bench model` and `train` found, as a table and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "kernels/cpu/machine/ceilings.h"
#include "runtime/exec/profiler.h"
#include "runtime/exec/timing.h"
#include "runtime/plan/plan.h"

namespace tandem::cli {

// Per second, on as many threads as the runs had.
struct Ceilings {
  double f32 = 0, bf16 = 0, int8 = 0;  // operations
  double read = 0;           // bytes
};

// Operations by the kind of numbers.
struct Work {
  double f32 = 0, bf16 = 0, int8 = 0;
  double sum() const { return f32 + bf16 + int8; }
  double seconds_at(const Ceilings& ceilings) const;
};

// Of one run.
Work work_of(const Plan& plan);

// Operations a second. f32's counts where the other is not faster.
double arithmetic_ceiling(cpu::Arithmetic arithmetic, int threads);

// Of the kinds that the work has.
Ceilings measure_ceilings(const Work& work, int threads);

struct OpRow {
  std::string op;
  double calls = 0, ms = 0;  // a run
  Work work;                 // a run
};

// The slowest first. `events` are those of `runs` runs.
std::vector<OpRow> rows_by_op(const Plan& plan, std::span<const Profiler::Event> events, size_t runs);

struct BenchReport {
  Timing timing;
  Work work;
  int64_t bytes_moved = 0;    // weights, inputs and outputs: what a run cannot do without moving
  int64_t plan_bytes = 0;     // what the plan holds at most
  int64_t process_bytes = 0;  // resident at most until the first runs were done
  Ceilings ceilings;
  std::vector<OpRow> ops;     // none: not asked for

  double share_of_ceiling() const { return work.seconds_at(ceilings) * 1e3 / timing.median_ms; }
  double share_of_bandwidth() const { return static_cast<double>(bytes_moved) / ceilings.read * 1e3 / timing.median_ms; }
};

// A line that a script sends: how long to measure. Throws InvalidArgument.
double seconds_of(const std::string& line);

nlohmann::json json_of(const Timing& timing);
nlohmann::json json_of(const BenchReport& report);
void print(const BenchReport& report, int threads);

}  // namespace tandem::cli
