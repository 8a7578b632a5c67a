// How a convolution of bytes is done: by products of patches, or line by line where every channel has a filter of its own.
#pragma once

#include "kernels/api/integer_gemm.h"
#include "kernels/cpu/conv_patches.h"

namespace tandem::cpu {

// One channel of x each filter, in a plane; columns side by side or every second one. Filters must have zero point 0.
bool is_line_convolution(const ConvShape& s);
int64_t line_convolution_scratch(const ConvShape& s);  // bytes of one thread
// The convolution of one plane of x (group `plane` % groups) with its filter. `zero`: of x, as its own type has it. The result's
// pointers are those of y's first element.
void convolve_lines(const ConvShape& s, ConstTensorView x, std::byte zero, const PackedIntegers& filters, int64_t plane,
                    const IntegerResult& result, std::byte* scratch);

}  // namespace tandem::cpu
