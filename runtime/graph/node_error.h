// What was thrown beneath a node, as a message of the node.
#pragma once

#include "kernels/base/error.h"
#include "runtime/graph/graph.h"

namespace tandem {

// "[Op] text (node 'name')"; as it is where it names a node already, one within a body or a region perhaps.
Error naming_node(const Error& error, const Node& node);

}  // namespace tandem
