// The classification extension: instead of a tensor, the k largest values of each row as "value:index".
#pragma once

#include "runtime/graph/tensor.h"

namespace tandem {

// A BYTES tensor of shape [rows, k], or [k] without a batch dimension; k is capped at the number of values of a row. Equal values
// are told apart by their index, the lower first; NaN comes last. Throws InvalidArgument unless `scores` are numbers.
Tensor classify(ConstTensorView scores, int64_t k, bool batched);

}  // namespace tandem
