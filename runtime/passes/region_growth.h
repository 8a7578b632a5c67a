// Which elementwise nodes of a graph are run together: maximal groups of one shape that stand, as one node, where their last node stood.
//
// One sweep in running order. A node joins the regions that make its operands, if they are open still: nobody outside has read them, so
// there is no path out of the region and back into it, and all that the region reads has been made where it will stand. All results of a region
// have one shape for certain, whatever the run, so nothing is computed twice; operands may broadcast to it. A region may wait for a
// node beyond other work only if what it reads meanwhile takes no more memory than what it makes.
#pragma once

#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

struct GrownRegion {
  std::vector<int> nodes;        // indices, ascending; two or more
  std::vector<ValueId> inputs;   // read from outside, once each; those of the region's shape first
  std::vector<ValueId> outputs;  // of the last node; then what is read by others or returned
};

// In the order of the last nodes. Takes time O(n): a region's size is bounded.
std::vector<GrownRegion> grow_regions(const Graph& graph);

}  // namespace tandem
