// Attention with a recurrent state in place of keys and values (ONNX LinearAttention-27). f32, f64.
//
//   S = exp(decay) * S;   v' = beta * (v - S^T k) or v;   S += k v'^T;   y = scale * S^T q
//
// q is [batch, steps, query heads * k size], k [batch, steps, heads * k size], v [batch, steps, heads * v size]. decay (null:
// none) is [batch, steps, heads] or one number a key element; beta (null: none) [batch, steps, heads or 1]. States are [batch,
// heads, k size, v size]. Query head h reads the state of head h / (query heads / heads). One thread a batch and head.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct LinearAttentionViews {
  ConstTensorView q, k, v;
  ConstTensorView past;  // null: zeros
  ConstTensorView decay, beta;
  TensorView y, state;  // the state is worked on in place
};
struct LinearAttentionOptions {
  int64_t query_heads = 0, heads = 0;
  double scale = 0;  // 0: 1 / sqrt(k size)
};

namespace cpu {

// REQUIRES: linear_attention_workspace bytes. Throws InvalidArgument for shapes that do not fit.
void linear_attention(const KernelContext&, const LinearAttentionViews&, const LinearAttentionOptions&);
size_t linear_attention_workspace(DType dtype, int64_t v_size, int threads);

}  // namespace cpu
}  // namespace tandem
