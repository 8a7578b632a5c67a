// Sequences of different lengths in one tensor, each turned around.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// Of the first lengths[b] elements along `time_axis` of batch entry b the last comes first; the others stay. The two axes are 0
// and 1 or 1 and 0; any element type; `lengths` is i64, from 0 to the length of the time axis (InvalidArgument otherwise). y does
// not overlap x.
void reverse_sequence(const KernelContext&, ConstTensorView x, ConstTensorView lengths, int time_axis, TensorView y);

}  // namespace tandem::cpu
