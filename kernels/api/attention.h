// Scaled dot-product attention (ONNX Attention-23 to 25) and its gradient. f32, f64.
//
//   y = softmax(cap(scale * q k^T) + mask) v      cap(s) = softcap * tanh(s / softcap), left out for softcap 0
//
// Keys and values are those of the past, then the new ones. Query i of a batch stands at position p = i + offset, offset being
// the length of the past, or valid keys - queries if the number of valid keys is given. Causal: keys <= p; a window: keys of [p -
// left, p + right]. A row without any key is zero, if not said otherwise. Each block of queries is worked on by one thread in an order that depends on
// shapes and on what masks hide. Keys pass by in blocks (online softmax), so no matrix of queries by keys is made unless `scores` are asked for.
#pragma once

#include <array>
#include <limits>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// What the output `scores` holds; ONNX's qk_matmul_output_mode.
enum class AttentionScores : uint8_t { kRaw, kCapped, kMasked, kProbabilities };

// A row whose softmax has no value: all its scores are -inf, or one is NaN or inf.
enum class UndefinedRows : uint8_t {
  kZeroIfHidden,  // 0 if all scores are -inf, NaN otherwise (ONNX Attention)
  kNan,           // as softmax has it
  kZero,          // as softmax behind Where(IsNaN(p), 0, p) has it
};

struct AttentionOptions {
  int64_t query_heads = 0, key_heads = 0;  // of inputs of rank 3, [batch, rows, heads * size]; 0 for [batch, heads, rows, size]
  double scale = 0;                        // 0: 1 / sqrt(size of a head)
  double softcap = 0;
  bool causal = false;
  int64_t left_window = -1, right_window = -1;  // -1: no limit
  AttentionScores scores = AttentionScores::kRaw;
  double hidden = -std::numeric_limits<double>::infinity();  // what a bool mask puts in place of a score
  bool mask_hides = false;                                   // a bool mask is true where a key is hidden
  UndefinedRows undefined = UndefinedRows::kZeroIfHidden;
  bool rounded = false;  // of f32, on a CPU: what products read is rounded to bf16 (GemmShape::rounded), softmax and all else stay f32
};

// Where the rows of a [batch, heads, rows, size] tensor lie, in elements.
struct HeadStrides {
  int64_t batch = 0, head = 0, row = 0, column = 1;
};

// How each tensor of [batch, heads, rows, size] lies in memory: its axis i is axis perm[i] of what is given (of y: what is
// given has axis perm[i] as its axis i), which is ONNX's Transpose before, of y behind. Only k may have its rows last in memory.
struct AttentionPerms {
  std::array<int, 4> q{0, 1, 2, 3}, k = q, v = q, y = q;
};

// All sizes, from shapes. Query head h reads key head h / (query_heads / key_heads).
struct AttentionGeometry {
  int64_t batch = 0, query_heads = 0, key_heads = 0;
  int64_t queries = 0, past = 0, keys = 0;  // `keys` counts the past too
  int64_t head_size = 0, value_size = 0;
  HeadStrides q, k, v, y, past_k, past_v;
  bool mask_broadcasts = false;  // a mask with one column is for all keys, not for the first alone
  bool masks_cycle = false;      // a mask of fewer batches, a divisor of theirs, begins again
  int64_t group() const { return key_heads > 0 ? query_heads / key_heads : 1; }
};

struct AttentionInputs {
  ConstTensorView q, k, v;
  ConstTensorView mask;  // null, bool (false: hidden) or a float to add; broadcasts to [batch, heads, queries, keys]; keys
                         // beyond its last axis are hidden
  ConstTensorView second_mask = {};  // null, or one more, applied behind the first
  ConstTensorView past_k, past_v;  // null or [batch, key heads, past, size]
  ConstTensorView valid_keys;      // null or i64 [batch]
};
struct AttentionOutputs {
  TensorView y;
  TensorView present_k, present_v;  // null or [batch, key heads, keys, size]
  TensorView scores;                // null or [batch, heads, queries, keys]
};
// Gradients, each may be null. dk and dv have k's and v's layout, but if there is a past: then [batch, key heads, keys, size].
struct AttentionGrads {
  TensorView dq, dk, dv;
  TensorView dscores;  // [batch, heads, queries, keys]: of the masked scores, and so of a mask of that shape
};

// Throws InvalidArgument if the shapes do not fit. `past_k` and `past_v` may be null shapes (rank 0).
AttentionGeometry attention_geometry(const AttentionOptions&, const Shape& q, const Shape& k, const Shape& v, const Shape& past_k,
                                     const Shape& past_v);
// The same of matrix products with NumPy's broadcasting, softmax(q k^T + masks) v: sizes of 1 meet any size, but heads of k and v
// may also be shared by groups of heads of q. All shapes are as in memory and have up to 4 axes, missing ones being 1. With masks_cycle the
// batch of a mask need only divide that of the scores.
AttentionGeometry broadcast_attention_geometry(const AttentionPerms&, const Shape& q, const Shape& k, const Shape& v, const Shape& mask,
                                               const Shape& second_mask, bool masks_cycle = false);

namespace cpu {

// For these sizes and all smaller ones. `scores`: whether that output is wanted.
size_t attention_workspace(DType, const AttentionGeometry&, bool scores, int threads, bool rounded = false);
void attention(const KernelContext&, const AttentionOptions&, const AttentionInputs&, const AttentionOutputs&);
void attention(const KernelContext&, const AttentionOptions&, const AttentionGeometry&, const AttentionInputs&, const AttentionOutputs&);

// Computes the probabilities anew, a block of queries at a time. One thread a batch and key head.
size_t attention_grad_workspace(DType, const AttentionGeometry&, int threads, bool rounded = false);
void attention_grad(const KernelContext&, const AttentionOptions&, const AttentionInputs&, ConstTensorView dy,
                    const AttentionGrads&);
// The same of broadcast_attention_geometry, without a past: `grads` is that of the gradients' shapes, which are stretched to all that the
// operands are broadcast to.
void attention_grad(const KernelContext&, const AttentionOptions&, const AttentionGeometry&, const AttentionGeometry& grads, const AttentionInputs&,
                    ConstTensorView dy, const AttentionGrads&);

}  // namespace cpu
}  // namespace tandem
