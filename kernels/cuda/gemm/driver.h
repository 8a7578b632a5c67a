// Many products of one shape: what gemm, batched_gemm and matmul have in common.
#pragma once

#include <span>

#include "kernels/api/gemm.h"
#include "kernels/cuda/gemm/product.cuh"

namespace tandem::cuda {

// T is float, double, F16 or BF16; Out is T, or float. REQUIRES: a workspace of gemm_workspace_bytes<T>(shape).
template <class T, class Out>
void multiply_all(const KernelContext& context, const GemmShape& shape, const GemmArgs<T, Out>& args, const ProductSet& set);

// The same by cuBLASLt: false, and nothing done, if it is not there or has no algorithm (then our own kernels are to make it).
template <class T, class Out>
bool multiply_by_library(const KernelContext& context, const GemmShape& shape, const GemmArgs<T, Out>& args,
                         const ProductSet& set);
// What it makes use of for products of at most this shape; `backward`: with GemmArgs::backward. 0 without the library.
size_t library_workspace_bytes(const GemmShape& shape, bool backward);

// A set of products as a kernel argument.
Products kernel_argument(const ProductSet& set);

// One tile size of a product kernel: rows and columns of C that a block makes.
template <class T, class Out>
struct TileSize {
  int64_t rows, cols;
  void (*launch)(const KernelContext&, const Problem<T, Out>&, const Grid&);  // sets threads and shared memory itself
};

// What there is for a type, the largest first (simt.cu: f32 and f64; tensor.cu: f16 and bf16).
template <class T, class Out>
std::span<const TileSize<T, Out>> tile_sizes();

}  // namespace tandem::cuda
