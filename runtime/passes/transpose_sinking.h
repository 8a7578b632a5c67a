// Moving Transposes down a graph, for the pass of that name and for others that put Transposes in.
#pragma once

#include "runtime/passes/pass.h"
#include "runtime/passes/transposed_op.h"

namespace tandem {

// Returns the number of nodes that changed. What did not pay is told in `notes`.
int sink_transposes(Graph& graph, TransposedOps allowed, PassNotes& notes);

}  // namespace tandem
