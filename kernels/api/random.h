// Random numbers that depend on a key, a run counter and the element's place alone: the same on any number of threads.
//
// Element i is made of philox(key, i / 4, counter): a uniform f32 of word i % 4, a uniform f64 of the words of its pair, normal
// ones by Box and Muller's method of a pair (two words give two numbers).
#pragma once

#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct RandomStream {
  uint64_t key = 0, counter = 0;
};

namespace cpu {

// Of [low, high), and of the normal distribution. Floats.
void random_uniform(const KernelContext&, RandomStream stream, double low, double high, TensorView y);
void random_normal(const KernelContext&, RandomStream stream, double mean, double scale, TensorView y);

// y (a number or bool) is 1 with the probability p, else 0. `p` is a float tensor of y's shape.
void bernoulli(const KernelContext&, RandomStream stream, ConstTensorView p, TensorView y);

// y[r, s] (i32 or i64) is a class drawn with the probability exp(x[r, class]), normalised over x's row. x: [rows, classes]
// floats.
void multinomial(const KernelContext&, RandomStream stream, ConstTensorView x, TensorView y);

// y = x / (1 - ratio) where the element is kept, else 0; it is with the probability 1 - ratio. `kept` (bool or a float) says
// which, or is null. REQUIRES 0 <= ratio < 1. y may be x.
void dropout(const KernelContext&, RandomStream stream, double ratio, ConstTensorView x, TensorView y, TensorView kept);

}  // namespace cpu
}  // namespace tandem
