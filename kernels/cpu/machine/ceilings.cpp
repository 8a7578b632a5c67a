#include "kernels/cpu/machine/ceilings.h"

#include <omp.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>

#include "kernels/base/block.h"

namespace tandem::cpu {
namespace {

// Of the calling thread: it stands still while other programs have the processor.
double processor_seconds() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// The shortest of `options.rounds` runs of body(thread) on all threads at once; the slowest thread of a run counts.
double best_seconds(const MeasureOptions& options, const std::function<void(int)>& body) {
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round <= options.rounds; ++round) {
    double slowest = 0;
#pragma omp parallel num_threads(options.threads) reduction(max : slowest)
    {
#pragma omp barrier
      const double start = processor_seconds();
      body(omp_get_thread_num());
      slowest = processor_seconds() - start;
    }
    if (round > 0) best = std::min(best, slowest);  // the first one starts threads
  }
  return best;
}

}  // namespace

double operations_per_second(const ArithmeticProbe& probe, const MeasureOptions& options) {
  int64_t steps = 1000;
  std::atomic<float> kept = 0;
  for (double seconds = 0; seconds < options.round_seconds; steps *= 2) {
    const double start = processor_seconds();
    kept = probe.run(steps);
    seconds = processor_seconds() - start;
  }
  const double seconds = best_seconds(options, [&](int) { kept = probe.run(steps); });
  return probe.operations * static_cast<double>(steps) * options.threads / seconds;
}

double operations_per_second(Arithmetic arithmetic, const MeasureOptions& options, Isa isa) {
  double best = 0;
  for (const ArithmeticProbe* probe : arithmetic_probes(isa))
    if (probe->arithmetic == arithmetic) best = std::max(best, operations_per_second(*probe, options));
  return best;
}

std::string_view name(Traffic traffic) {
  switch (traffic) {
    case Traffic::kRead: return "read";
    case Traffic::kWrite: return "write";
    case Traffic::kCopy: return "copy";
    case Traffic::kTriad: return "triad";
  }
  return "?";
}

MemoryProbe::MemoryProbe() : memory_(make_block(3 * kElements * sizeof(float))), stream_(*stream_probes().back()) {
  a_ = reinterpret_cast<float*>(memory_.get());
  b_ = a_ + kElements, c_ = b_ + kElements;
  stream_.write(a_, 3 * kElements, 1);
}

double MemoryProbe::bytes_per_second(Traffic traffic, const MeasureOptions& options) const {
  const int64_t part = kElements / options.threads / kStreamStep * kStreamStep;
  std::atomic<float> kept = 0;
  const auto measure = [&](int arrays, const std::function<void(int64_t)>& body) {
    const double seconds = best_seconds(options, [&](int thread) { body(thread * part); });
    return static_cast<double>(arrays * part * options.threads) * sizeof(float) / seconds;
  };
  switch (traffic) {
    case Traffic::kRead:
      return std::max(measure(1, [&](int64_t at) { kept = stream_.read(a_ + at, part); }),
                      measure(1, [&](int64_t at) { kept = stream_.read_in_streams(a_ + at, part); }));
    case Traffic::kWrite: return measure(1, [&](int64_t at) { stream_.write(a_ + at, part, 2); });
    case Traffic::kCopy: return measure(2, [&](int64_t at) { stream_.copy(a_ + at, b_ + at, part); });
    case Traffic::kTriad: return measure(3, [&](int64_t at) { stream_.triad(a_ + at, b_ + at, c_ + at, part, 0.5f); });
  }
  return 0;
}

}  // namespace tandem::cpu
