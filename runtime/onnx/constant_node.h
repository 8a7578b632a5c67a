// ONNX Constant (1 to 25).
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// The content of a Constant with these attributes, of which there is one, in one of eight forms. Throws InvalidArgument for others.
Tensor constant_of(const Attributes& attributes);

}  // namespace tandem
