// What a scale of quantized numbers must be, checked once, when a file is read: afterwards nobody could say whose fault a NaN is.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// Throws InvalidArgument naming the node and its input if a constant scale of the node is NaN, infinite or negative, or is 0 where it divides
// or where no constant lies behind it. A DequantizeLinear of weights may have scales of 0: channels that are.
void check_scales(const Graph& graph, const Node& node);

}  // namespace tandem
