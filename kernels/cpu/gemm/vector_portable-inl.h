// 16-byte vectors of the compiler's own (GCC and Clang lower them to any architecture), separate multiply and add.
#pragma once

#include <cstdint>

namespace tandem::cpu {
namespace {

template <class S>
struct PortableVector {
  using Scalar = S;
  struct Part {
    int64_t lanes;
  };
  static constexpr int kLanes = 16 / sizeof(S), kRows = 4, kVectors = 2;
  static constexpr int wide_panels(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

  typedef S Native __attribute__((vector_size(16)));  // `using` loses the attribute of a dependent type
  Native v;

  static Part part(int64_t n) { return {n}; }
  static PortableVector load(const S* p) {
    PortableVector r;
    __builtin_memcpy(&r.v, p, sizeof(r.v));
    return r;
  }
  static PortableVector load(const S* p, Part part) {
    PortableVector r{Native{}};
    for (int64_t i = 0; i < part.lanes; ++i) r.v[i] = p[i];
    return r;
  }
  void store(S* p) const { __builtin_memcpy(p, &v, sizeof(v)); }
  void store(S* p, Part part) const {
    for (int64_t i = 0; i < part.lanes; ++i) p[i] = v[i];
  }
  static PortableVector set(S x) { return {x - Native{}}; }
  static void transpose(PortableVector (&rows)[kLanes]) {
    for (int i = 0; i < kLanes; ++i)
      for (int j = 0; j < i; ++j) {
        const S swap = rows[i].v[j];
        rows[i].v[j] = rows[j].v[i];
        rows[j].v[i] = swap;
      }
  }
  friend PortableVector operator+(PortableVector a, PortableVector b) { return {a.v + b.v}; }
  friend PortableVector operator-(PortableVector a, PortableVector b) { return {a.v - b.v}; }
  friend PortableVector operator*(PortableVector a, PortableVector b) { return {a.v * b.v}; }
  friend PortableVector fma(PortableVector a, PortableVector b, PortableVector c) { return {a.v * b.v + c.v}; }
  friend PortableVector relu(PortableVector a) { return {a.v < Native{} ? Native{} : a.v}; }  // NaN stays NaN
  friend PortableVector where_positive(PortableVector gate, PortableVector a) { return {gate.v > Native{} ? a.v : Native{}}; }
  friend PortableVector clamp(PortableVector low, PortableVector a, PortableVector high) {  // NaN stays
    const Native raised = a.v < low.v ? low.v : a.v;
    return {raised > high.v ? high.v : raised};
  }
  // shifted: n + 1.5 * 2^23 for a whole n; both a and the result normal.
  friend PortableVector times_power_of_two(PortableVector a, PortableVector shifted) {
    PortableVector r = a;
    for (int i = 0; i < kLanes; ++i)
      r.v[i] = __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, a.v[i]) + (__builtin_bit_cast(uint32_t, shifted.v[i]) << 23));
    return r;
  }
  friend PortableVector reciprocal(PortableVector a) { return {1 / a.v}; }
};

}  // namespace
}  // namespace tandem::cpu
