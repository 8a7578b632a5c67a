// The size of an axis that two operands share, where at most one of the sizes is a number.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// Each of a and b is 1 or the result. REQUIRES: they differ, neither is 1, and not both are numbers. Where nobody can tell, the result is a
// symbol of its own, "broadcast(a, b)" in one order: the same operands give the same size, whichever it is. Unknown if an operand is.
Dim broadcast_dim(const Dim& a, const Dim& b);

}  // namespace tandem
