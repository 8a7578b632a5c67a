// The one kernel behind transpose, expand, tile and slice.
#pragma once

#include <cstddef>

#include "kernels/api/strided_box.h"
#include "kernels/base/kernel_context.h"

namespace tandem::cuda {

// Copies the elements of a box between two tensors in device memory that start at `source` and `target`; `element_size` is 1, 2,
// 4 or 8.
void copy_box(const KernelContext& context, StridedBox box, const std::byte* source, std::byte* target, size_t element_size);

}  // namespace tandem::cuda
