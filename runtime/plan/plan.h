// A compiled graph: schedule, buffer offsets, bound kernels. Immutable once made; executors on several lanes share one.
//
// Memory is planned for the largest allowed value of every symbolic dimension (its bound); a run may use any smaller one. Where a shape
// depends on data, and in all that follows from there, values are dynamic: the run itself takes memory for them and binds their steps. So they
// are too where no run has all sizes at their bounds at once (words so far, new ones, and all of them).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/graph/packed_constants.h"
#include "runtime/plan/device_placement.h"

namespace tandem {

class Tuning;

struct PlanOptions {
  int threads = 1;                                          // OpenMP team of the lane that will run it
  std::map<std::string, int64_t, std::less<>> bounds = {};  // symbol -> largest value
  int64_t default_bound = 64;                               // for symbols not named above
  int64_t memory_limit = INT64_MAX;                         // bytes; more is refused before anything is allocated
  DType precision = DType::kF32;                            // of products: f32 or, on the CPU, bf16 (the pass bf16_storage)
  Space target = Space::kHost;                              // kDevice: on a GPU, where ops have CUDA twins
  bool strict_device = false;                               // refuse a graph of which any op would run on the CPU
  int64_t device_memory_limit = INT64_MAX;                  // bytes of the GPU's memory
  bool device_collectives = false;                          // the ranks' GPUs are connected: collectives leave values there
  bool dynamic_inputs = false;                              // a body of Loop: its inputs have another shape each time
  bool open_symbols = false;                                // nothing is planned for inputs with a symbol that `bounds` does not name
  bool fast_math = false;                                   // on the host: kernels may round more than direct sums (Winograd)
  std::shared_ptr<Tuning> tuning = {};                      // finds the fastest of several kernels by running them; null: by estimates
  std::set<std::string, std::less<>> disabled_passes = {};  // of host_passes(): those to leave out; other names do nothing
  std::shared_ptr<PackedConstants> packs = {};              // of another plan of the same graph, on the same machine; null: its own
};

// Where a value lives.
enum class Placement : uint8_t {
  kNone,      // never materialised
  kInput,     // the caller's memory
  kConstant,  // the graph's constant
  kState,     // the executor's state store
  kArena,     // the executor's arena, at `offset`
  kFeed,      // an input of the graph on the GPU: the executor's feed buffer, at `offset`
  kDynamic,   // made by the run, which alone knows its size
};

struct BufferPlan {
  Placement placement = Placement::kNone;
  Space space = Space::kHost;
  ValueId root = kNoValue;  // kInput, kConstant, kState: the value whose memory this is (itself, or the one it is a view of)
  int64_t offset = 0;       // bytes from the start of the arena (kArena) or of the root
  int64_t bytes = 0;        // at the bounds
  int first = 0, last = 0;  // steps between which the buffer is alive, inclusive
};

enum class StepKind : uint8_t {
  kView,          // nothing to do
  kHost,          // a kernel on the CPU
  kDynamic,       // on the CPU, bound when the run reaches it: it makes or reads dynamic values
  kDevice,        // a kernel on the GPU
  kFeed,          // an input goes to the GPU, ahead of the run
  kCopyToDevice,
  kCopyToHost,
};

struct Step {
  int node = 0;  // index into graph.nodes
  StepKind kind = StepKind::kView;
  BoundKernel kernel;  // of kHost and kDevice
  int64_t scratch_offset = 0;  // on a plan for the host: where in the arena the kernel's workspace begins
};

// Bytes that a run holds in one memory.
struct MemoryPlan {
  int64_t arena = 0;        // the peak of the offset packing: activations and, on a plan for the host alone, the scratch of kernels
  int64_t lower_bound = 0;  // the most of these that is alive at any one step
  int64_t scratch = 0;      // the largest in the arena
  int64_t workspace = 0;    // scratch beside the arena, one for all kernels
  int64_t constants = 0;    // what is left of the constants, plus what kernels packed of them
  int64_t constants_in_heap = 0;  // of these what is too small for pages of its own (kOwnPages)
  int64_t loading = 0;      // the most that constants took while kernels packed them: of each, for a moment, both forms
  int64_t states = 0;
  int64_t feeds = 0;        // inputs on their way to the GPU: one of the two buffers that take turns
  int64_t total() const { return arena + workspace + constants + states + 2 * feeds; }
};

class Plan {
 public:
  Graph graph;  // constants that all their readers have packed are empty, on a plan for the host
  PlanOptions options;
  std::vector<PassReport> passes;                      // what host_passes() did
  std::shared_ptr<PackedConstants> packs;
  std::map<std::string, int64_t, std::less<>> bounds;  // the bound of every symbol of the graph's inputs
  std::vector<Shape> shapes;                           // at the bounds, indexed by ValueId
  std::vector<BufferPlan> buffers;                     // indexed by ValueId
  std::vector<Step> steps;                             // in the order of graph.nodes
  DevicePlacement placement;                           // where nodes run and values lie
  std::vector<bool> dynamic;                           // values of Placement::kDynamic, indexed by ValueId
  std::map<std::pair<int, std::string>, std::shared_ptr<const Plan>> bodies;  // of the subgraph that is this attribute of this node
  MemoryPlan host, device;                             // host memory of a plan for a GPU is pinned
  // Everything a run holds in host memory; before it, for a moment, it may have been host.loading.
  int64_t peak_bytes() const { return host.total(); }
  bool is_dynamic(ValueId id) const { return id != kNoValue && dynamic[static_cast<size_t>(id)]; }
  bool on_device() const { return options.target == Space::kDevice; }
};

// Throws InvalidArgument for a graph that cannot run (an op without a kernel, a state replaced by a dynamic value, with strict_device
// an op that would run on the CPU: all of them are named) and OutOfMemory with figures when a limit would be exceeded. A graph that does not
// work at the bounds that were assumed (a matrix wants another size) is planned with open_symbols, one that does not work at several given ones
// without any.
std::shared_ptr<const Plan> make_plan(Graph graph, const PlanOptions& options);

// The schedule as a table: step, op, output, bytes, offset, lifetime; then the sums.
std::string to_text(const Plan& plan);

}  // namespace tandem
