// Ops that say the same in other words since some opset: an attribute that became an input, a mode that got another name, an attribute more. An
// export writes them in the words of its opset.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// The graph, and the bodies in it, with the axes of reductions, the sizes of Split, the modes of GridSample, the reduction of scatters and the
// versions of Attention as `opset` has them. A node that has no form there stays as it is: one whose axes the run computes, for example.
Graph with_moved_operands(const Graph& graph, int opset);

}  // namespace tandem
