// LayerNormalization and RMSNormalization whose Scale and B broadcast to X in another way than as one row.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// Whether a Scale or B of the node, by the shapes known so far, is no row of X's normalized axes.
bool broadcasts_scales(const Graph& graph, const Node& node);

// Appends what such a node stands for: rows that are spread, or the normalization alone and Mul and Add behind it. REQUIRES:
// broadcasts_scales; the node's outputs are values of the graph without a type.
void append_with_broadcast_scales(Graph& graph, const Node& node);

}  // namespace tandem
