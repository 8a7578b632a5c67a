// Rotary position embedding (ONNX RotaryEmbedding-23): the first `rotated` elements of each head's row are pairs, each turned by
// an angle.
//
//   (a, b) -> (cos * a - sin * b, sin * a + cos * b)      pair i is (x[i], x[i + rotated / 2]), or (x[2 i], x[2 i + 1]) if
//   interleaved
//
// x is [batch, heads, rows, size] or [batch, rows, heads * size]. cos and sin are [batch, rows, rotated / 2]; or, if positions
// [batch, rows] are given, [positions, rotated / 2]. f32, f64. y may be x's memory. Throws InvalidArgument for a position
// outside.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct RotaryViews {
  ConstTensorView x, cos, sin;
  ConstTensorView positions;  // i64, may be null
  TensorView y;
};

struct RotaryOptions {
  int64_t heads = 0;    // of an x of rank 3
  int64_t rotated = 0;  // 0: all of a row
  bool interleaved = false;
};

namespace cpu {

void rotary_embedding(const KernelContext& context, const RotaryViews& views, const RotaryOptions& options);

// The same as networks write it out, with a cos and a sin for every element: x * cos + (-second half, first half) * sin along the last axis,
// of an even size n. cos and sin have one shape, [..., n], which broadcasts to x's. No positions. f32. y may be x's memory.
void rotate_halves(const KernelContext& context, const RotaryViews& views);
// Of pairs that lie side by side: x * cos + (-x[1], x[0], -x[3], x[2], ...) * sin.
void rotate_pairs(const KernelContext& context, const RotaryViews& views);

}  // namespace cpu
}  // namespace tandem
