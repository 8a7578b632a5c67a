// Kernels that move elements and compute nothing: any element type, strings included (16-byte views are copied, not their text).
//
// Input and output never overlap. `axis`, `permutation` and the like are normalised to [0, rank) and were checked against the
// shapes when the graph was built; a violation is a defect and throws Internal.
#pragma once

#include <span>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

enum class PadMode : uint8_t { kConstant, kReflect, kEdge, kWrap };

}  // namespace tandem

namespace tandem::cpu {

// y[i0, i1, ...] = x with axis a of y being axis permutation[a] of x.
void transpose(const KernelContext&, ConstTensorView x, std::span<const int64_t> permutation, TensorView y);
// NumPy broadcast of x to y's shape.
void expand(const KernelContext&, ConstTensorView x, TensorView y);
// y repeats x along every axis; y's dimensions are multiples of x's.
void tile(const KernelContext&, ConstTensorView x, TensorView y);
// y[i] = x[starts + i * steps] per axis; a step may be negative.
void slice(const KernelContext&, ConstTensorView x, std::span<const int64_t> starts, std::span<const int64_t> steps,
           TensorView y);
// dx = 0 but for the elements that slice took, which get dy.
void slice_backward(const KernelContext&, ConstTensorView dy, std::span<const int64_t> starts, std::span<const int64_t> steps,
                    TensorView dx);
void concat(const KernelContext&, std::span<const ConstTensorView> inputs, int axis, TensorView y);
void split(const KernelContext&, ConstTensorView x, int axis, std::span<const TensorView> outputs);
// `before[a]` elements are put before axis a (negative: taken away); how many after follows from y's shape. `value` is one
// element in host memory or null (zero); reflect needs pads below the dimension, edge and wrap a dimension of at least 1.
void pad(const KernelContext&, ConstTensorView x, std::span<const int64_t> before, PadMode mode, ConstTensorView value,
         TensorView y);
// Keeps the upper (or lower) triangle of the last two axes, counted from diagonal k; the rest is zero (empty strings).
void trilu(const KernelContext&, ConstTensorView x, int64_t k, bool upper, TensorView y);
// Every element of y becomes `value`'s only one.
void fill(const KernelContext&, ConstTensorView value, TensorView y);
// y = x, of the same number of bytes; nothing if they are the same memory.
void copy(const KernelContext&, ConstTensorView x, TensorView y);

// Sums of what was repeated: the gradients of tile and pad (floats). Each element of dx adds in row-major order of dy.
void tile_backward(const KernelContext&, ConstTensorView dy, TensorView dx);
void pad_backward(const KernelContext&, ConstTensorView dy, std::span<const int64_t> before, PadMode mode, TensorView dx);

// y[i] = start + i * delta (numbers).
void range(const KernelContext&, ConstTensorView start, ConstTensorView delta, TensorView y);
// y is off everywhere but on at position indices[i] of `axis`; a negative index counts from the end, one outside the axis gives a
// row of `off`. `values` is [off, on]; indices are f32, f64, i32, i64, u8 or i8, on a CPU any number.
void one_hot(const KernelContext&, ConstTensorView indices, ConstTensorView values, int axis, TensorView y);

}  // namespace tandem::cpu

// The twins: the same contracts, in device memory, on the session's stream; no strings, but f16 and bf16 where there is
// arithmetic. The sums of tile_backward and pad_backward are taken in a tree where many elements meet in one.
namespace tandem::cuda {

void transpose(const KernelContext&, ConstTensorView x, std::span<const int64_t> permutation, TensorView y);
void expand(const KernelContext&, ConstTensorView x, TensorView y);
void tile(const KernelContext&, ConstTensorView x, TensorView y);
void slice(const KernelContext&, ConstTensorView x, std::span<const int64_t> starts, std::span<const int64_t> steps,
           TensorView y);
void slice_backward(const KernelContext&, ConstTensorView dy, std::span<const int64_t> starts, std::span<const int64_t> steps,
                    TensorView dx);
void concat(const KernelContext&, std::span<const ConstTensorView> inputs, int axis, TensorView y);
void split(const KernelContext&, ConstTensorView x, int axis, std::span<const TensorView> outputs);
void pad(const KernelContext&, ConstTensorView x, std::span<const int64_t> before, PadMode mode, ConstTensorView value,
         TensorView y);
void trilu(const KernelContext&, ConstTensorView x, int64_t k, bool upper, TensorView y);
void fill(const KernelContext&, ConstTensorView value, TensorView y);
// As fill, but the one element is in host memory and travels in the launch.
void fill_with(const KernelContext&, ConstTensorView value, TensorView y);
void copy(const KernelContext&, ConstTensorView x, TensorView y);
void tile_backward(const KernelContext&, ConstTensorView dy, TensorView dx);
void pad_backward(const KernelContext&, ConstTensorView dy, std::span<const int64_t> before, PadMode mode, TensorView dx);
void range(const KernelContext&, ConstTensorView start, ConstTensorView delta, TensorView y);
void one_hot(const KernelContext&, ConstTensorView indices, ConstTensorView values, int axis, TensorView y);

}  // namespace tandem::cuda
