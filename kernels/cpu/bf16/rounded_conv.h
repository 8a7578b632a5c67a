// The products of which convolutions that round their operands are made (kernels/api/rounded_conv.h), and the workspace of each.
//
// Rows of A have k side by side; panels of B hold it in pairs (block.h). What lies behind the true k is 0 in both.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/cpu/bf16/block.h"
#include "kernels/cpu/conv_kernels.h"

namespace tandem::cpu {

inline constexpr int64_t kMostColumns = 256;  // of a block
inline constexpr int64_t kRowAlignment = 64;
inline constexpr std::array<float, kMostColumns> kNoSeeds = {};

// Bytes between rows of `bytes`: an odd number of cache lines, so that the rows of a tile do not share sets of the first-level cache.
inline int64_t spread_stride(int64_t bytes) { return (ceil_div(bytes, kRowAlignment) | 1) * kRowAlignment; }

// c[rows, columns] = A * B, added to c if `accumulate`.
struct RoundedBlock {
  const std::byte* a;
  int64_t a_stride, rows;  // stride in bytes
  const std::byte* panels;
  int64_t columns;
  BlockDepth depth;
  float* c;
  int64_t ldc;
  bool accumulate = false;
};

inline void multiply(const Bf16Kernel& kernel, const RoundedBlock& p) {
  Bf16Block block;
  block.a_stride = p.a_stride, block.depth = p.depth.bytes, block.step = p.depth.step, block.seeds = kNoSeeds.data();
  for (int64_t column = 0; column < p.columns; column += kMostColumns)
    for (int64_t row = 0; row < p.rows; row += kMostBlockRows) {
      auto* c = reinterpret_cast<std::byte*>(p.c + row * p.ldc + column);
      block.a = p.a + row * p.a_stride, block.rows = std::min(kMostBlockRows, p.rows - row);
      block.panels = p.panels + column * p.depth.bytes, block.columns = std::min(kMostColumns, p.columns - column);
      block.result = {c, false, p.ldc};
      if (p.accumulate) block.residual = {c, false, p.ldc};
      kernel.multiply(block);
    }
}

// Each pair: bytes of workspace, for this plane and all smaller ones, and the kernel. Groups are 1.
int64_t rounded_forward_bytes(const ConvGeometry&, Isa, int threads);
void rounded_forward(const KernelContext&, const ConvGeometry&, Isa, const ConvOperands<float>&);
// The gradient to the input of a convolution at stride 1 as a convolution (conv_turned.h).
int64_t rounded_turned_bytes(const ConvGeometry&, Isa, int threads);
void rounded_turned(const KernelContext&, const ConvGeometry&, Isa, const float* w, const float* dy, float* dx, int64_t batch);
// The same at any stride.
int64_t rounded_scatter_bytes(const ConvGeometry&, Isa, int threads);
void rounded_scatter(const KernelContext&, const ConvGeometry&, Isa, const float* w, const float* dy, float* dx, int64_t batch);

int64_t rounded_weight_grad_bytes(const ConvGeometry&, Isa, int threads);
void rounded_weight_grad(const KernelContext&, const ConvGeometry&, Isa, const float* x, const float* dy, float* dw, int64_t batch);

}  // namespace tandem::cpu
