// The dot-product instructions of AVX-512: vpdpbusd (four u8 x s8 a lane into i32) and vdpbf16ps (two bf16 a lane into f32).
// As asm, since g++ 12 keeps the sums of the first one's intrinsic on the stack.
#include <immintrin.h>

#include "kernels/cpu/machine/probes.h"

namespace tandem::cpu {
namespace {

constexpr int kChains = 24;

// Operands are not zero: those might let the clock rise. The sums start different, or they would be one.
struct Int8 {
  static __m512i start(int i) { return _mm512_set1_epi32(i); }
  static __m512i left() { return _mm512_set1_epi8(3); }
  static __m512i right() { return _mm512_set1_epi8(5); }
  static void dot(__m512i& sum, __m512i a, __m512i b) { asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }
  static __m512i add(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
  static float first(__m512i total) { return static_cast<float>(_mm512_cvtsi512_si32(total)); }
};
struct Bf16 {
  static __m512i start(int i) { return _mm512_castps_si512(_mm512_set1_ps(static_cast<float>(i))); }
  static __m512i left() { return _mm512_set1_epi16(0x3f80); }   // 1
  static __m512i right() { return _mm512_set1_epi16(0x3f00); }  // 0.5
  static void dot(__m512i& sum, __m512i a, __m512i b) { asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }
  static __m512i add(__m512i a, __m512i b) {
    return _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
  }
  static float first(__m512i total) { return _mm512_cvtss_f32(_mm512_castsi512_ps(total)); }
};

template <class Dot>
float run(int64_t steps) {
  __m512i sums[kChains];
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) sums[i] = Dot::start(i);
  const __m512i a = Dot::left(), b = Dot::right();
  for (int64_t s = 0; s < steps; ++s)
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) Dot::dot(sums[i], a, b);
  __m512i total = _mm512_setzero_si512();
#pragma GCC unroll 32
  for (const __m512i& sum : sums) total = Dot::add(total, sum);
  return Dot::first(total);
}

}  // namespace

constinit const ArithmeticProbe kVnniProbe{"int8 VNNI, 512 bits", Arithmetic::kInt8, 2.0 * 64 * kChains, run<Int8>};
constinit const ArithmeticProbe kBf16Probe{"bf16 dot product, 512 bits", Arithmetic::kBf16, 2.0 * 32 * kChains, run<Bf16>};

}  // namespace tandem::cpu
