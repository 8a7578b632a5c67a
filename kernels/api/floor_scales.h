// Quantized results as whole parts of a line: how kernels round sums without a look for ties.
//
// A result is a step function of its sum, with 255 steps at most. A line sum * slope + offset of two floats steps where the definition
// (kernels/api/requantize.h) does if, at each step, it is below the result one sum before and not below it there. Each step so bounds the
// offset from both sides; slopes next to the quotient of the scales are tried until an offset lies between all bounds, or all but one.
#pragma once

#include "kernels/api/requantize.h"

namespace tandem {

struct FloorLine {
  float slope = 0, offset = 0;  // slope 0: there is none
  int32_t exception = kNoException;
};

// Right for all sums of 32 bits: those that floats do not hold are beyond all steps.
FloorLine find_floor_line(const ResultScale& scale, int32_t low, int32_t high);

}  // namespace tandem
