// Products by cuBLASLt.
#pragma once

#include <cstddef>

#include "kernels/api/gemm.h"
#include "kernels/base/checked.h"

namespace tandem::cuda {

// `count` products in the terms of gemm.h, with types as values. Device memory.
struct BlasProduct {
  GemmShape shape;
  DType in = DType::kUndefined, out = DType::kUndefined;
  const void *a = nullptr, *b = nullptr, *addend = nullptr, *bias = nullptr;  // the bias has one value a column
  void* c = nullptr;
  int64_t lda = 0, ldb = 0, ldc = 0, ld_addend = 0;
  double alpha = 1, beta = 1;
  bool relu = false;
  GemmBatch batch;
  // At most one of the following, and neither bias nor relu with it.
  const void* relu_mask = nullptr;   // C = C where the mask has a 1: see blas_mask_bytes
  const void* gelu_input = nullptr;  // C = C * the slope of GELU, by tanh, at these [m, n] of C's type and ldc, a multiple of 8
  void* sums = nullptr;              // of C's type: as GemmBackward::sums
  Operand summed = Operand::kA;
};

// Whether blas_multiply has an algorithm for it.
bool blas_can_multiply(const KernelContext& context, const BlasProduct& product);

// Makes the products if the library is there and has an algorithm for them; else returns false and does nothing. Algorithms are
// chosen once for a session, shape, types and epilogue, and only ones whose bits do not depend on timing. While launches are only
// noted, the library is taken to have an algorithm for everything.
bool blas_multiply(const KernelContext& context, const BlasProduct& product);

// The bits of a mask for C: m rows of blas_mask_words(n) words, bit i of word w for column 32 * w + i.
constexpr int64_t blas_mask_words(int64_t n) { return round_up(n, 128) / 32; }

// What blas_multiply can make use of; 0 without the library.
size_t blas_workspace_bytes();

}  // namespace tandem::cuda
