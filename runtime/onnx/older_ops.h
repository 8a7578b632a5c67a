// Ops younger than the opset of an export, in terms of older ones: fusions make them of what a model of an older opset spelled out.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// Whether with_older_ops knows this op: Attention, Col2Im, Gelu, GroupNormalization, HardSwish, LayerNormalization, Mish, OptionalHasElement,
// RMSNormalization, Swish.
bool can_be_written_older(const OpDef& def);

// The graph with these ops written as ONNX's function bodies do where `opset` does not have them yet. Bodies within it stay as they are. A
// LayerNormalization that shows its Mean or InvStdDev, a row of unknown axes, a Col2Im of sizes that the run computes, and an attention that shows its scores, has a window or lengths of keys, are
// refused with InvalidArgument.
Graph with_older_ops(const Graph& graph, int opset);

}  // namespace tandem
