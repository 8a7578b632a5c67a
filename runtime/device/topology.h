// What of this machine the process may compute on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tandem {

struct AllowedCpus {
  std::vector<int> cpus;  // operating-system numbers, in hwloc's logical order: neighbours in the list share caches and memory
  int threads = 1;        // that may compute at once: the processors, or fewer under a control group's quota; at least 1
  std::string note;       // for the user when the quota is less than the processors, else empty
};

// The calling thread's affinity, within hwloc's allowed set, and the control group's quota. Takes milliseconds: ask once.
AllowedCpus allowed_cpus();

// A cache for data, of one level.
struct DataCache {
  int level = 1;
  int64_t bytes = 0;   // of one of them
  int processors = 1;  // that share one
};

struct MachineDescription {
  std::string processor;          // "AMD EPYC 9B14 ..."; "" if the system does not say
  int processors = 1;             // of the machine, allowed or not
  std::vector<DataCache> caches;  // from the smallest; empty if the system does not say
};

MachineDescription describe_machine();

}  // namespace tandem
