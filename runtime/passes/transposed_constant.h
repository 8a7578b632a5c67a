// Constants in another order of axes.
#pragma once

#include "runtime/passes/permutation.h"

namespace tandem {

// REQUIRES a tensor of no strings and of the order's rank.
Tensor transposed(const Tensor& tensor, const Permutation& order);

}  // namespace tandem
