// Dropout whose mask is a function of (key, counter, element): the same in the forward and the backward pass, on any number of
// threads.
#pragma once

#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// One stream of random numbers a place in the model.
constexpr uint64_t dropout_key(uint64_t seed, uint64_t site) { return seed + 0x9E3779B97F4A7C15u * (site + 1); }

namespace cpu {

// y = x / (1 - ratio) where the element's number in [0, 1) is at least `ratio`, else 0. REQUIRES 0 <= ratio < 1. `y` may be `x`'s
// memory. Element i uses word i % 4 of philox(key, i / 4, counter); `counter` is one i64, read when the kernel runs.
void random_dropout(const KernelContext& context, ConstTensorView x, TensorView y, float ratio, uint64_t key,
                    ConstTensorView counter);

}  // namespace cpu

// The twin: the same mask, in device memory, on the session's stream; also f16 and bf16.
namespace cuda {

void random_dropout(const KernelContext& context, ConstTensorView x, TensorView y, float ratio, uint64_t key,
                    ConstTensorView counter);

}  // namespace cuda
}  // namespace tandem
