#include "runtime/device/affinity.h"

#include <sched.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <system_error>

#include "kernels/base/error.h"

namespace tandem {
namespace {

// Eight cpu_set_t: 8192 processors, as many as Linux can be built for.
using CpuMask = std::array<cpu_set_t, 8>;
constexpr int kMaxCpus = static_cast<int>(sizeof(CpuMask)) * 8;

bool is_false(std::string_view value) { return value == "false" || value == "FALSE"; }

}  // namespace

std::vector<int> thread_cpus() {
  CpuMask mask{};
  check(::sched_getaffinity(0, sizeof(mask), mask.data()) == 0, ErrorCode::kUnavailable, "cannot read the thread's processors",
        std::generic_category().message(errno));
  std::vector<int> cpus;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu)
    if (CPU_ISSET_S(static_cast<size_t>(cpu), sizeof(mask), mask.data())) cpus.push_back(cpu);
  return cpus;
}

void set_thread_cpus(std::span<const int> cpus) {
  CpuMask mask{};
  for (int cpu : cpus) {
    require(cpu >= 0 && cpu < kMaxCpus, "no such processor", cpu);
    CPU_SET_S(static_cast<size_t>(cpu), sizeof(mask), mask.data());
  }
  require(::sched_setaffinity(0, sizeof(mask), mask.data()) == 0, "cannot pin the thread to these processors", cpus.size(),
          std::generic_category().message(errno));
}

std::string undo_openmp_binding() {
  std::string found;
  for (const char* variable : {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"})
    if (const char* value = std::getenv(variable); value && !is_false(value))
      found += (found.empty() ? "" : ", ") + std::string(variable);
  if (found.empty()) return "";
  std::vector<int> all(static_cast<size_t>(kMaxCpus));
  std::iota(all.begin(), all.end(), 0);
  set_thread_cpus(all);
  return found + " would bind all threads to one processor and is undone; Tandem places its threads itself";
}

}  // namespace tandem
