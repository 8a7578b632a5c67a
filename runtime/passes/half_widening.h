// For the CPU, which computes in no 16-bit float: nodes on f16 or bf16 compute in f32 between casts.
//
// What a node gives is rounded to its declared type, so results are those of a machine that computes each op in f32 and stores it
// in 16 bits; they do not depend on what else is in the graph. Where the result of 16-bit numbers is a 16-bit number in any case
// (Relu, Max, Floor) the next node reads it in f32 before the cast. Ops that only move or convert elements (OpDef::elements) stay
// as they are. Constants are widened at once, other values once each. It is done when a plan is made: a graph at rest keeps its
// declared types.
#pragma once

#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// Rewrites the nodes that `on_cpu` (indexed like graph.nodes) marks. The types of all values must be inferred. Returns for each
// node of the new list the index it had, or -1 for a cast. A node that replaces a state of 16 bits is left alone.
std::vector<int> widen_halves(Graph& graph, const std::vector<bool>& on_cpu);

}  // namespace tandem
