// How long a step could take at best on a GPU, and how well a launch fills it.
//
// The time is that of the roofline model (Williams, Waterman, Patterson, 2009): the larger of bytes over memory bandwidth and
// operations over the arithmetic rate that the step may use. Occupancy is counted as in the CUDA programming guide: the resident
// warps of a multiprocessor that threads, blocks, registers and shared memory allow, over the most it can have.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "runtime/exec/device_spec.h"
#include "runtime/exec/dry_run.h"

namespace tandem {

// What ptxas gave a kernel.
struct KernelResources {
  int registers = 0;
  int64_t shared = 0;  // static bytes
};

// Rows of kernels/cuda/resources.tsv for one architecture.
class ResourceTable {
 public:
  // Throws InvalidArgument for text of another form. An architecture without rows gives an empty table.
  ResourceTable(std::string_view tsv, std::string_view architecture);
  // Of "softmax_rows<float>", with or without the names of namespaces; for template arguments that are spelled otherwise the
  // largest of that kernel. Null: not in the table.
  const KernelResources* find(const std::string& kernel) const;
  bool empty() const { return exact_.empty(); }

 private:
  std::map<std::string, KernelResources, std::less<>> exact_, by_template_;
};

// "map_elements<Add, float>" of "map_elements<{anonymous}::Add, float>": without the names of our namespaces, as the table has
// it.
std::string short_kernel_name(std::string_view kernel);

// The table that this build was made with; "" if there was none.
std::string_view built_in_resources();

struct LaunchEstimate {
  double occupancy = 0;  // in [0, 1]; 0: the block does not fit the GPU
  double waves = 0;      // blocks over those resident at once
  bool few_blocks = false;
  bool low_occupancy = false;
  bool assumed = false;     // the kernel was not in the table
  bool of_library = false;  // a call of cuBLASLt or cuDNN: its grid is its own affair, nothing else here is set
};

struct StepEstimate {
  double seconds = 0;    // of the whole step
  double intensity = 0;  // operations a byte
  bool memory_bound = true;
  bool launch_bound = false;  // a launch takes longer than its work
};

inline constexpr double kLaunchSeconds = 2e-6;
inline constexpr double kLowOccupancy = 0.25;
inline constexpr KernelResources kAssumedResources{.registers = 40, .shared = 0};

LaunchEstimate estimate(const cuda::LaunchRecord& launch, const ResourceTable& resources, const DeviceSpec& spec);
StepEstimate estimate(const StepCost& cost, cuda::Math math, const DeviceSpec& spec);

}  // namespace tandem
