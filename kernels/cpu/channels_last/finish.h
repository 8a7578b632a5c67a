// What a tile does with its sums before it stores them, once for all tiers: a template on the vector V.
#pragma once

#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

// exp(t) for |t| <= 87, within 2 ULP: 2^n * p(r), t = n log 2 + r, with the best polynomial of the sixth degree that begins with 1 + r.
template <class V>
inline V exp_within_87(V t) {
  const V shift = V::set(12582912.0f);  // 1.5 * 2^23: what is added to it is rounded to whole numbers, in the low bits of the sum
  const V shifted = fma(t, V::set(1.44269504f), shift), n = shifted - shift;
  V r = fma(n, V::set(-0.693359375f), t);
  r = fma(n, V::set(2.12194440e-4f), r);
  V p = fma(V::set(0x1.6ae6f4p-10f), r, V::set(0x1.1267c0p-7f));
  p = fma(p, r, V::set(0x1.555824p-5f));
  p = fma(p, r, V::set(0x1.555418p-3f));
  p = fma(p, r, V::set(0x1.fffffcp-2f));
  p = fma(p, r, V::set(1.0f));
  p = fma(p, r, V::set(1.0f));
  return times_power_of_two(p, shifted);
}

// x * sigmoid(alpha * x), within 4 ULP or 2^-125 |x|, of the rounded angle alpha * x, which is cut off where its exponential is 2^125.
template <class V>
inline V swish(V x, V alpha) {
  const V e = exp_within_87(clamp(V::set(-87.0f), (V::set(0.0f) - alpha) * x, V::set(87.0f)));
  return x * reciprocal(V::set(1.0f) + e);
}

// Of `count` vectors one after the other in memory. Two at a time: a processor looks ahead over too few instructions to find the second by itself.
template <class V>
inline void swish_vectors(float* x, int64_t count, float alpha) {
  const V factor = V::set(alpha);
  int64_t j = 0;
  for (; j + 2 <= count; j += 2, x += 2 * V::kLanes) {
    const V first = swish(V::load(x), factor), second = swish(V::load(x + V::kLanes), factor);
    first.store(x), second.store(x + V::kLanes);
  }
  if (j < count) swish(V::load(x), factor).store(x);
}

template <class V>
inline V apply(const TileFinish& finish, V v) {
  if (finish.kind == TileFinish::kNothing) return v;
  if (finish.kind == TileFinish::kBounds) return clamp(V::set(finish.low), v, V::set(finish.high));
  return swish(v, V::set(finish.alpha));
}

}  // namespace tandem::cpu
