// The ops that make one element of one output from one element of each input, with NumPy broadcasting: what regions are made of.
#pragma once

#include "runtime/graph/op_def.h"

namespace tandem {

// Whether an element of the result depends on the elements of the inputs at its place only, by kernels that broadcast, need no
// workspace and take any shape, whatever they were bound for.
bool is_elementwise(const OpDef& def);

}  // namespace tandem
