// An order in which the nodes of a file can run.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tandem {

// `producers[n]` are the indices of the nodes whose outputs node n reads (repeats are fine). Among the nodes that can run, the
// one that stands first in the file comes first: a file in order stays as it is. Time O((nodes + edges) log nodes), no recursion.
// Returns fewer than all nodes if there is a cycle.
std::vector<int> topological_order(const std::vector<std::vector<int>>& producers);

// The nodes of one cycle, in order. REQUIRES: topological_order() left nodes out.
std::vector<int> find_cycle(const std::vector<std::vector<int>>& producers, std::span<const int> order);

}  // namespace tandem
