// The one loop behind transpose, expand, tile, slice, concat, split and constant padding.
#pragma once

#include <cstddef>

#include "kernels/api/strided_box.h"
#include "kernels/base/kernel_context.h"

namespace tandem::cpu {

// Copies the elements of a box between two tensors that start at `source` and `target`; `element_size` is 1, 2, 4, 8 or 16.
void copy_box(const KernelContext& context, const StridedBox& box, const std::byte* source, std::byte* target,
              size_t element_size);

}  // namespace tandem::cpu
