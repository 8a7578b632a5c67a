// Passes for graphs that are about to be differentiated (runtime/train/step_graph): not in the list of default_passes().
#pragma once

#include "runtime/passes/pass.h"

namespace tandem {

extern const Pass transposed_products_pass;

}  // namespace tandem
