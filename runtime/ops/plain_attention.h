// tandem.FusedAttention in ONNX's own terms: for export, and for a GPU, which has kernels for the parts.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// Appends MatMul, Softmax and what else `node`, a tandem.FusedAttention, stands for, all as of `opset` (9 or later); the last of them makes
// the node's output. Types of inputs must be known; ranks too.
void append_plain_attention(Graph& graph, const Node& node, int opset);

// Writes each tandem.FusedAttention out whose rank is known. Returns how many there were.
int write_out_attention(Graph& graph);

}  // namespace tandem
