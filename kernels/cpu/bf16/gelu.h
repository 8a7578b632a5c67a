// Gelu for results that are rounded to bf16: x * Phi(x) with Phi(x) - 1/2 as an odd polynomial of 9 terms on [-4, 4], fitted to
// the normal distribution function within 4e-6 (least squares reweighted towards the largest error). The result is within 2e-5 +
// 2^-14 |x|, and 2e-4 below -4, where it should be less. NaN stays.
#pragma once

#include <cstdint>

namespace tandem::cpu {

// A template on a type of the tier's file, as finish.h.
template <class V>
void gelu_for_bf16(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float raised = x[i] < -4.0f ? -4.0f : x[i], t = raised > 4.0f ? 4.0f : raised, u = t * t;
    float p = 8.06340341719114e-11f;
    p = p * u - 7.0034582577704896e-09f;
    p = p * u + 2.716154199333687e-07f;
    p = p * u - 6.294997092481935e-06f;
    p = p * u + 9.890806541079655e-05f;
    p = p * u - 0.0011339220218360424f;
    p = p * u + 0.009877476841211319f;
    p = p * u - 0.066410593688488f;
    p = p * u + 0.39892271161079407f;
    x[i] = raised * (0.5f + t * p);
  }
}

}  // namespace tandem::cpu
