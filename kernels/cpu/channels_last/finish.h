// What a tile does with its sums before it stores them, once for all tiers: a template on the vector V.
#pragma once

#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

// exp(t) for t <= 0, within 2 ULP; exp(-87) below -87. By 2^n * p(r), t = n log 2 + r, with the polynomial of Cephes' expf (Moshier).
template <class V>
inline V exp_of_negative(V t) {
  const V bounded = clamp(V::set(-87.0f), t, V::set(0.0f));
  const V n = round(bounded * V::set(1.44269504f));
  V r = fma(n, V::set(-0.693359375f), bounded);
  r = fma(n, V::set(2.12194440e-4f), r);
  V p = fma(V::set(1.9875691500e-4f), r, V::set(1.3981999507e-3f));
  p = fma(p, r, V::set(8.3334519073e-3f));
  p = fma(p, r, V::set(4.1665795894e-2f));
  p = fma(p, r, V::set(1.6666665459e-1f));
  p = fma(p, r, V::set(5.0000001201e-1f));
  return times_power_of_two(fma(p, r * r, r + V::set(1.0f)), n);
}

// x * sigmoid(alpha * x), within 4 ULP or 2^-119. By e = exp(-|alpha x|), which cannot overflow.
template <class V>
inline V swish(V x, V alpha) {
  const V angle = alpha * x;
  const V e = exp_of_negative(negative_magnitude(angle)), r = reciprocal(V::set(1.0f) + e);
  return x * where_positive(angle, r, e * r);
}

template <class V>
inline V apply(const TileFinish& finish, V v) {
  if (finish.kind == TileFinish::kNothing) return v;
  if (finish.kind == TileFinish::kBounds) return clamp(V::set(finish.low), v, V::set(finish.high));
  return swish(v, V::set(finish.alpha));
}

}  // namespace tandem::cpu
