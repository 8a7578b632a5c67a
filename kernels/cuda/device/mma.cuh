// Tensor-core products of a warp: one instruction on a GPU, the same sums from the registers of all lanes on the emulator.
#pragma once

#include "kernels/base/half.h"
#include "kernels/cuda/device/gpu.h"
#include "kernels/cuda/device/number.cuh"

namespace tandem::cuda {

#if !defined(__CUDACC__)
namespace detail {

// Lane l holds of A the words (row l/4, columns l%4*2 ..+1), (row+8, same), (row, columns+8), (row+8, columns+8); of B the words
// (rows l%4*2 ..+1, column l/4) and (rows+8, same). PTX ISA, "Matrix Fragments for mma.m16n8k16".
template <class T>
void emulate_mma_16816(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const uint64_t words[3] = {a[0] | uint64_t{a[1]} << 32, a[2] | uint64_t{a[3]} << 32, b[0] | uint64_t{b[1]} << 32};
  uint64_t all[3][32];
  for (int i = 0; i < 3; ++i) std::memcpy(all[i], emulator::warp_exchange(~0u, words[i]), sizeof all[i]);
  const auto number = [](uint64_t word, int half) { return widen(T{static_cast<uint16_t>(word >> (16 * half))}); };
  const int lane = static_cast<int>(emulator::this_thread().lane);
  float of_a[2][16], of_b[2][16];
  for (int k = 0; k < 16; ++k)
    for (int i = 0; i < 2; ++i) {
      of_a[i][k] = number(all[k / 8][lane / 4 * 4 + k % 8 / 2], i * 2 + k % 2);
      of_b[i][k] = number(all[2][(lane % 4 * 2 + i) * 4 + k % 8 / 2], k / 8 * 2 + k % 2);
    }
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 16; ++k) d[i] += of_a[i / 2][k] * of_b[i % 2][k];
}

}  // namespace detail
#endif

// d += A * B; A is 16x16, B 16x8, d 16x8 in f32. Lane l holds of d (row l/4, columns l%4*2 ..+1) and (row+8, same). All lanes
// call.
template <class T>
__device__ __forceinline__ void mma_16816(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  static_assert(kIsHalf<T>);
#if defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, BF16>)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif !defined(__CUDACC__)
  detail::emulate_mma_16816<T>(d, a, b);
#endif
}

}  // namespace tandem::cuda
