// Kernels that make a tensor out of a few numbers.
#pragma once

#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// y [rows, columns], a number or bool: 1 where column - row = k, else 0.
void eye(const KernelContext&, int64_t k, TensorView y);

// y[n] = a - b cos(2 pi n / period) + c cos(4 pi n / period), a number of any type; a fraction goes to an integer toward zero.
// REQUIRES period >= 1.
struct CosineWindow {
  double a, b, c = 0;
};
void cosine_window(const KernelContext&, CosineWindow window, int64_t period, TensorView y);

}  // namespace tandem::cpu
