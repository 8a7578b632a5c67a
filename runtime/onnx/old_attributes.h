// Attributes and outputs that ONNX had once, in today's terms: what the ops of an old opset say differently, but mean the same.
#pragma once

#include <string_view>

#include "runtime/graph/graph.h"

namespace tandem {

// Rewrites the attributes of a node of this op of the default domain at this opset, and lowers the number of its outputs if the last ones have no
// use. What has no form today is left as it is, and the op refuses it.
void modernize_attributes(std::string_view op, int64_t opset, Attributes& attributes, int& outputs);

}  // namespace tandem
