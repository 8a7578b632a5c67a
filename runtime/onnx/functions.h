// Calls of a model's own functions (ModelProto.functions, ONNX docs/IR.md) replaced by their bodies, before the graph is read.
#pragma once

#include <cstdint>

#include "runtime/graph/limits.h"

namespace tandem_onnx_proto {
class ModelProto;
class NodeProto;
}

namespace tandem {

// Afterwards no node of the graph, or of a graph within it, is a call: a body stands in its place, with the caller's values and attributes and
// with names of its own for the rest. A node that came from a function and follows another opset than the model carries that in
// `overload` (opset_of_node), which is empty in all other nodes. Throws InvalidArgument naming function and node: functions that call each other in a circle,
// two of one name, a call that does not fit, a value that nothing makes, an overload that is not defined, and calls that stand for
// more than the limits allow (function_nodes, model_bytes), before any is expanded: a few functions that call each other twice are enough.
void expand_functions(tandem_onnx_proto::ModelProto& model, const Limits& limits);

// The opset of its domain that a node follows. REQUIRES expand_functions().
int64_t opset_of_node(const tandem_onnx_proto::NodeProto& node, int64_t of_model);

}  // namespace tandem
