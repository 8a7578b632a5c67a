// Lists of axes, sizes and starts, as what rewrites a graph reads them.
#pragma once

#include <optional>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// The elements of a constant of i32 or i64 that is at hand, of any rank; nothing for any other value, and for kNoValue.
std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, ValueId id);

}  // namespace tandem
