// Products by cuBLASLt.
#pragma once

#include <cstddef>

#include "kernels/api/gemm.h"

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
};

// Makes the products if the library is there and has an algorithm for them; else returns false and does nothing. Algorithms are
// chosen once for a session, shape, types and epilogue, and only ones whose bits do not depend on timing. While launches are only
// noted, the library is taken to have an algorithm for everything.
bool blas_multiply(const KernelContext& context, const BlasProduct& product);

// What blas_multiply can make use of; 0 without the library.
size_t blas_workspace_bytes();

}  // namespace tandem::cuda
