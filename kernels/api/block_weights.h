// Products with weights of 2, 4 or 8 bits that have a scale a block: onnxruntime's MatMulNBits.
//
//   y [m, n] = a [m, k] * w^T + bias       w[j][p] = (q - zero) * scale of block p / block_size of column j
//
// q lies at [n][blocks][block_size * bits / 8], lowest bits first; a block may be longer than what is left of k. Up to eight rows are multiplied
// with the weights as they are, which are read once from memory. For more, the weights are restored to f32 a few columns at a time, in the
// workspace, and multiplied by gemm: the same bits as from a matrix of f32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct BlockWeights {
  int64_t n = 0, k = 0;
  int64_t bits = 4, block_size = 32;
  ConstTensorView q = {};      // u8
  ConstTensorView scale = {};  // f32, one a block of each column
  // Null (2^(bits - 1)); f32, laid out as the scales; or u8, packed like q, each column from a new byte on.
  ConstTensorView zero = {};
  int64_t blocks() const { return (k + block_size - 1) / block_size; }
};

}  // namespace tandem

namespace tandem::cpu {

size_t block_matmul_workspace_bytes(const BlockWeights&, int64_t m, int threads);
// a: f32 [..., k]; bias: null or f32 [n]; y: f32 [..., n].
void block_matmul(const KernelContext&, ConstTensorView a, const BlockWeights&, ConstTensorView bias, TensorView y);

}  // namespace tandem::cpu
