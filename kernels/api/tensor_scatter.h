// Rows of a cache replaced by new ones, from a position of each batch on (ONNX TensorScatter-24). Any element type.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// `update` has the cache's shape but for `axis` (not 0), where it is at most as long. `positions` is i64 [batch], or null: from 0
// on. Circular: rows go round the end of the cache. `y` has the cache's shape and may be its memory. Throws InvalidArgument for a
// position below 0, or one from which the update would leave the cache.
void tensor_scatter(const KernelContext&, ConstTensorView cache, ConstTensorView update, ConstTensorView positions, int axis,
                    bool circular, TensorView y);

}  // namespace tandem::cpu
