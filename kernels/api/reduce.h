// Reductions over any set of axes, arg-max and cumulative sums.
//
// Each output element is computed by one thread in an order that depends on the shape only. Floating sums run in 16 lanes of
// blocks of 512 elements, whose totals are added in double: the error is below 2e-6 * sum(|x|) in f32 for any length. An empty
// reduction gives the neutral element: sums 0, prod 1, max the lowest and min the highest value, mean NaN. The CUDA twins have
// the same order on any device; a thread adds at most 8 elements in f32, and all that follows is in double.
#pragma once

#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// kMax and kMin take numbers and bool (a CPU) and propagate NaN; the others f32, f64, i32, i64 (sums of integers wrap; the mean truncates);
// kLogSum and kLogSumExp floats.
enum class ReduceOp : uint8_t { kSum, kMean, kMax, kMin, kProd, kL1, kL2, kSumSquare, kLogSum, kLogSumExp };

// Bit i: axis i of the input is reduced.
using AxisMask = uint32_t;

struct ArgReduce {
  bool largest = true;       // arg max, else arg min
  bool select_last = false;  // which of equal values
};

struct Cumulative {
  bool exclusive = false;  // element i does not count in result i
  bool reverse = false;    // from the end
};

}  // namespace tandem

namespace tandem::cpu {

// y has x's type and the product of the kept axes as its number of elements (its own shape, with or without the 1s, does not
// matter).
void reduce(const KernelContext&, ReduceOp op, ConstTensorView x, TensorView y, AxisMask axes);

// Sums x over the axes along which a tensor of y's shape was broadcast to x's. Throws Internal if it was not.
void reduce_to_shape(const KernelContext&, ConstTensorView x, TensorView y);

// y (i64) is the position along `axis`, which must not be empty. NaN is never chosen unless it comes first.
void arg_reduce(const KernelContext&, ConstTensorView x, TensorView y, int axis, ArgReduce options);

// Sequential sums and products along `axis`, in double for floats. y may be x.
void cumsum(const KernelContext&, ConstTensorView x, TensorView y, int axis, Cumulative options);
void cumprod(const KernelContext&, ConstTensorView x, TensorView y, int axis, Cumulative options);
// Without a division: zeros in x are no exception. f32, f64; dx is neither x nor dy.
void cumprod_grad(const KernelContext&, ConstTensorView x, ConstTensorView dy, TensorView dx, int axis, Cumulative options);

// y[i] is the product of all x along `axis` but x[i], without a division: what the gradient of a product needs. Numbers; y is not x.
void product_of_others(const KernelContext&, ConstTensorView x, TensorView y, int axis);

}  // namespace tandem::cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16.
namespace tandem::cuda {

// REQUIRES of reduce and reduce_to_shape: a workspace of reduce_workspace(x.shape) bytes, where large sums are folded.
void reduce(const KernelContext&, ReduceOp op, ConstTensorView x, TensorView y, AxisMask axes);
void reduce_to_shape(const KernelContext&, ConstTensorView x, TensorView y);
size_t reduce_workspace(const Shape& x);

void arg_reduce(const KernelContext&, ConstTensorView x, TensorView y, int axis, ArgReduce options);
void cumsum(const KernelContext&, ConstTensorView x, TensorView y, int axis, Cumulative options);

}  // namespace tandem::cuda
