// Copies by stores that go past the caches.
#include "kernels/cpu/stream_copy.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace tandem::cpu {

void stream_copy(std::byte* target, const std::byte* source, size_t bytes) {
  constexpr size_t kLine = 64, kVector = sizeof(__m128i), kAhead = 1024;
  const size_t head = std::min(bytes, (kLine - reinterpret_cast<uintptr_t>(target) % kLine) % kLine);
  std::memcpy(target, source, head);
  target += head, source += head, bytes -= head;
  for (; bytes >= kLine; target += kLine, source += kLine, bytes -= kLine) {
    __builtin_prefetch(source + kAhead);
    __m128i line[kLine / kVector];
#pragma GCC unroll 4
    for (size_t i = 0; i < kLine / kVector; ++i) line[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i * kVector));
#pragma GCC unroll 4
    for (size_t i = 0; i < kLine / kVector; ++i) _mm_stream_si128(reinterpret_cast<__m128i*>(target + i * kVector), line[i]);
  }
  _mm_sfence();  // such stores are seen in order with others only behind a fence
  std::memcpy(target, source, bytes);
}

}  // namespace tandem::cpu
