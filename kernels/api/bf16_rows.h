// Layer and RMS normalization, and attention, of tensors stored in bf16: numbers are widened as they are read, statistics, scores
// and sums are f32, and results are rounded once, to nearest, ties to even. On CPUs.
#pragma once

#include "kernels/api/attention.h"
#include "kernels/api/isa.h"

namespace tandem::cpu {

// As layer_norm and rms_norm (layer_norm.h): x and y [rows, length], bf16 or f32 each; scale and bias f32 [length], bias null or
// there.
struct Bf16RowNorm {
  ConstTensorView x, scale, bias;
  TensorView y;
  bool about_zero = false;  // RMS normalization
};
size_t bf16_row_norm_workspace(int64_t length, int threads);
void bf16_row_norm(const KernelContext&, const Bf16RowNorm& views, int64_t rows, int64_t length, double epsilon);

// As attention (attention.h), of q, k, v and y in bf16, without a past, outputs beside y or a window: masks are bool or f32,
// scores and their softmax f32, and weights are rounded to bf16 before they meet the values. Holds the scores of a block of
// queries by all keys.
size_t bf16_attention_workspace(const AttentionGeometry&, int threads, Isa isa = chosen_isa());
void bf16_attention(const KernelContext&, const AttentionOptions&, const AttentionGeometry&, const AttentionInputs&, TensorView y,
                    Isa isa = chosen_isa());

}  // namespace tandem::cpu
