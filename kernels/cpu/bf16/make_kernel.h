// The table of a tier that multiplies bf16 in vectors.
#pragma once

#include "kernels/cpu/bf16/finish.h"
#include "kernels/cpu/bf16/packing.h"
#include "kernels/cpu/gemm/block_tile.h"

namespace tandem::cpu {

template <class V>
constexpr Bf16Kernel make_bf16_kernel() {
  return {V::kRows,
          4,
          requires { V::kNative; },
          &BlockTile<V, Bf16Blocks>::multiply,
          &Bf16Finish<V>::narrow,
          &Bf16Finish<V>::widen,
          &Bf16Finish<V>::narrow_rows,
          &Bf16Finish<V>::widen_rows,
          &Bf16Finish<V>::scale_rows,
          &Bf16Packing<V>::transpose,
          &Bf16Packing<V>::interleave,
          &Bf16Packing<V>::round_lines,
          &Bf16Packing<V>::round_transposed,
          &Bf16Packing<V>::round_columns,
          false,
          Bf16Finish<V>::kInRegisters ? &Bf16Finish<V>::finish_all : nullptr};
}

}  // namespace tandem::cpu
