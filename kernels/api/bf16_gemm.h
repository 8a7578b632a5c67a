// Matrix products of bf16 with f32 sums and a fused epilogue, on CPUs.
//
//   C = activation(A * B + bias + residual)      A [m, k] bf16, B [k, n] rounded to bf16 when packed, C [m, n] f32 or bf16
//
// Products are exact, sums are f32, and C is rounded once, to nearest, ties to even. The order of the sums depends on the
// instruction set and on k: bits do not depend on the threads, m or n, but may differ in the last places of f32 from one
// instruction set to another. k = 0 leaves activation(bias + residual). AMX and AVX-512 BF16 take denormal numbers for 0, others
// keep them. C may be the residual, not A.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/api/activation.h"
#include "kernels/api/isa.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// Whether this tier multiplies bf16 as it is, by AVX-512 BF16, AMX or Arm's BF16, where others widen it: faster than f32.
bool multiplies_bf16(Isa isa = chosen_isa());

// op(B) in bf16, in the panels that one tier reads: weights, packed once when a plan is made. A handle: copies share the storage.
class PackedBf16 {
 public:
  PackedBf16() = default;
  explicit operator bool() const { return data_ != nullptr; }
  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  Isa isa() const { return isa_; }
  size_t bytes() const { return bytes_; }
  const std::byte* data() const { return data_.get(); }

 private:
  friend PackedBf16 pack_bf16(ConstTensorView, bool, Isa);
  std::shared_ptr<std::byte[]> data_;
  int64_t k_ = 0, n_ = 0;
  size_t bytes_ = 0;
  Isa isa_ = Isa::kPortable;
};

// `b` is [k, n], or [n, k] if `transposed`, of f32. Allocates. Use the panels with the tier that they are packed for.
PackedBf16 pack_bf16(ConstTensorView b, bool transposed = false, Isa isa = chosen_isa());

struct Bf16Epilogue {
  ConstTensorView bias = {};      // null or f32 [n]
  ConstTensorView residual = {};  // null, or f32 or bf16 in the shape of C
  Activation activation = {};
};

// Of products of at most `m` rows.
size_t bf16_gemm_workspace(int64_t m, int64_t k, int64_t n, Isa isa = chosen_isa());

// `a` is [..., k], `c` is [..., n] with the same leading axes. Throws Internal if shapes, types or the workspace do not fit.
void bf16_gemm(const KernelContext&, ConstTensorView a, const PackedBf16& b, TensorView c, const Bf16Epilogue& epilogue = {});

}  // namespace tandem::cpu
