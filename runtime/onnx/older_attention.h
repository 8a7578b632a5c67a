// ONNX's Attention (23 to 25) in the ops that opsets had before it.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// Appends what `node` stands for, all as of `opset` (13 or later); the last of the nodes make its outputs. Ranks must be known, sizes need not be.
// Throws InvalidArgument, naming the node, for lengths of keys (nonpad_kv_seqlen), windows and scores as an output.
void append_older_attention(Graph& graph, const Node& node, int opset);

}  // namespace tandem
