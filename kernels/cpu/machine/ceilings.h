// What this machine can do at best: the denominator of every benchmark. Each figure is the best of many short rounds by the
// threads' own clocks, so that other programs hardly count; a second call may differ by a few percent, since the processor's clock drifts.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "kernels/api/isa.h"
#include "kernels/cpu/machine/probes.h"

namespace tandem::cpu {

// Those that this machine can run, per kind of numbers from the least to the most capable instruction set; of `isa` and the tiers before it.
// Asks the system for the use of AMX's tiles, if there are any.
std::vector<const ArithmeticProbe*> arithmetic_probes(Isa isa = available_isas().back());
// The same of the loops over memory.
std::vector<const StreamProbe*> stream_probes();

struct MeasureOptions {
  int threads = 1;
  int rounds = 8;
  double round_seconds = 0.004;
};

// Multiplications and additions a second, of all threads together.
double operations_per_second(const ArithmeticProbe& probe, const MeasureOptions& options);

// The best of all probes of this kind; 0 if there is none.
double operations_per_second(Arithmetic arithmetic, const MeasureOptions& options, Isa isa = available_isas().back());

enum class Traffic : uint8_t { kRead, kWrite, kCopy, kTriad };
std::string_view name(Traffic traffic);

// Arrays far beyond the caches, and what streams through them.
class MemoryProbe {
 public:
  static constexpr int64_t kElements = int64_t{32} << 20;  // floats of each of the three arrays

  // Takes and touches 384 MiB. Throws OutOfMemory.
  MemoryProbe();
  // Counted as STREAM does: what the program asks for, not the lines that a store brings in first. Stores are ordinary ones, which leave
  // their lines in the caches, as kernels want it.
  double bytes_per_second(Traffic traffic, const MeasureOptions& options) const;

 private:
  std::shared_ptr<std::byte[]> memory_;
  float *a_, *b_, *c_;
  const StreamProbe& stream_;
};

}  // namespace tandem::cpu
