// The loops of probes.h on the compiler's own vectors (vector_size) that fill a register of the instruction set which the including file is
// compiled for.
//
// Chains start with different values: equal ones would be merged into one, which then looks many times too fast. Nothing in the loops is
// volatile and no memory is clobbered, which would put the chains on the stack.
#pragma once

#include "kernels/cpu/machine/probes.h"

namespace tandem::cpu {

template <class Vector>
struct Loops {
  static constexpr int kLanes = sizeof(Vector) / sizeof(float);

  static float sum(Vector v) {
    float total = 0;
    for (int i = 0; i < kLanes; ++i) total += v[i];
    return total;
  }
  static Vector load(const float* p) {
    Vector v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
  }
  static void store(float* p, Vector v) { __builtin_memcpy(p, &v, sizeof(v)); }

  template <int kChains>
  static float multiply_add(int64_t steps) {
    Vector chains[kChains];
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) chains[i] = Vector{} + static_cast<float>(i);
    // Not known to the compiler, and neither growing nor a denormal after any number of steps.
    const Vector factor = Vector{} + (steps < 0 ? 2.0f : 0.5f), addend = Vector{} + (steps < 0 ? 2.0f : 0.25f);
    for (int64_t s = 0; s < steps; ++s)
#pragma GCC unroll 32
      for (int i = 0; i < kChains; ++i) chains[i] = chains[i] * factor + addend;
    Vector total{};
#pragma GCC unroll 32
    for (const Vector& chain : chains) total += chain;
    return sum(total);
  }

  template <int kStreams, int kAheadBytes>
  static float read(const float* a, int64_t n) {
    constexpr int kSums = 8 / kStreams * kStreams;
    Vector sums[kSums] = {};
    const int64_t part = n / kStreams;
    for (int64_t i = 0; i < part; i += kSums / kStreams * kLanes)
#pragma GCC unroll 8
      for (int j = 0; j < kSums; ++j) {
        const float* at = a + j % kStreams * part + i + j / kStreams * kLanes;
        __builtin_prefetch(reinterpret_cast<const char*>(at) + kAheadBytes);
        sums[j] += load(at);
      }
    Vector total{};
    for (const Vector& s : sums) total += s;
    return sum(total);
  }

  static void write(float* a, int64_t n, float value) {
    const Vector v = Vector{} + value;
    for (int64_t i = 0; i < n; i += kLanes) store(a + i, v);
  }
  static void copy(float* a, const float* b, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes) store(a + i, load(b + i));
  }
  static void triad(float* a, const float* b, const float* c, int64_t n, float factor) {
    for (int64_t i = 0; i < n; i += kLanes) store(a + i, load(b + i) + factor * load(c + i));
  }

  static constexpr StreamProbe stream() { return {read<1, 2048>, read<4, 1024>, write, copy, triad}; }
};

}  // namespace tandem::cpu
