// The orders of axes that a tandem.FusedAttention walks: Transposes of its operands and of its result are its attributes (q_perm ... y_perm).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/passes/permutation.h"

namespace tandem {

inline bool is_fused_attention(const Node& node) { return node.def->domain == "tandem" && node.def->name == "FusedAttention"; }

// "q_perm", "k_perm", "v_perm" for operands 0 to 2.
std::string operand_attribute(size_t operand);

// That attribute for a node that reads what was before a Transpose by `order`; nothing if the kernel cannot walk it: the size of a head must
// come last in memory, or, of K, last but one.
std::optional<std::vector<int64_t>> operand_order(const Node& attention, size_t operand, const Permutation& order);

// For each node whether it is a Transpose of an attention's result that nobody else reads, and that the attention could do itself.
std::vector<bool> transposes_of_attention(const Graph& graph);

// What the result's order is beyond heads behind rows ([batch, rows, heads, size]) becomes a Transpose of its own, so that it can be moved.
void release_result_orders(Graph& graph);
// The opposite: Transposes of results become attributes. Returns their number.
int take_result_orders(Graph& graph);

}  // namespace tandem
