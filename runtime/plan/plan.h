// A compiled graph: schedule, buffer offsets, bound kernels. Immutable once made; executors on several lanes share one.
//
// Memory is planned for the largest allowed value of every symbolic dimension (its bound); a run may use any smaller one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"

namespace tandem {

struct PlanOptions {
  int threads = 1;                                          // OpenMP team of the lane that will run it
  std::map<std::string, int64_t, std::less<>> bounds = {};  // symbol -> largest value
  int64_t default_bound = 64;                               // for symbols not named above
  int64_t memory_limit = INT64_MAX;                         // bytes; more is refused before anything is allocated
};

// Where a value lives.
enum class Placement : uint8_t {
  kNone,      // never materialised
  kInput,     // the caller's memory
  kConstant,  // the graph's constant
  kState,     // the executor's state store
  kArena,     // the executor's arena, at `offset`
};

struct BufferPlan {
  Placement placement = Placement::kNone;
  ValueId root = kNoValue;  // kInput, kConstant, kState: the value whose memory this is (itself, or the one it is a view of)
  int64_t offset = 0;       // bytes from the start of the arena (kArena) or of the root
  int64_t bytes = 0;        // at the bounds
  int first = 0, last = 0;  // steps between which the buffer is alive, inclusive
};

struct Step {
  int node = 0;        // index into graph.nodes
  BoundKernel kernel;  // empty run: nothing to do (a view)
};

class Plan {
 public:
  Graph graph;
  PlanOptions options;
  std::map<std::string, int64_t, std::less<>> bounds;  // the bound of every symbol of the graph's inputs
  std::vector<Shape> shapes;                           // at the bounds, indexed by ValueId
  std::vector<BufferPlan> buffers;                     // indexed by ValueId
  std::vector<Step> steps;                             // in the order of graph.nodes
  int64_t arena_bytes = 0;                             // activations: the peak of the offset packing
  int64_t lower_bound_bytes = 0;                       // the most that is alive at any one step
  int64_t workspace_bytes = 0;
  int64_t constant_bytes = 0;  // constants plus what kernels packed of them
  int64_t state_bytes = 0;
  // Everything a run holds: arena, workspace, constants, states.
  int64_t peak_bytes() const { return arena_bytes + workspace_bytes + constant_bytes + state_bytes; }
};

// Throws InvalidArgument for a graph that cannot run (an op without a kernel, a shape that stays unknown at the bounds) and
// OutOfMemory with figures when peak_bytes() would exceed the limit.
std::shared_ptr<const Plan> make_plan(Graph graph, const PlanOptions& options);

// The schedule as a table: step, op, output, bytes, offset, lifetime; then the sums.
std::string to_text(const Plan& plan);

}  // namespace tandem
