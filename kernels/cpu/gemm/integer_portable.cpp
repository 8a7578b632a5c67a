// Integer products in plain C++.
#include <array>

#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

struct Lanes {
  static constexpr int kLanes = 4, kRows = 2;
  std::array<uint32_t, 4> v;  // sums wrap

  static Lanes zero() { return {}; }
  static Lanes load(const int16_t* p) {
    Lanes out;
    std::memcpy(out.v.data(), p, sizeof out.v);
    return out;
  }
  static Lanes set(int32_t pair) {
    Lanes out;
    out.v.fill(static_cast<uint32_t>(pair));
    return out;
  }
  void store(int32_t* p) const { std::memcpy(p, v.data(), sizeof v); }
  static uint32_t product(uint32_t a, uint32_t b) {
    return static_cast<uint32_t>(static_cast<int16_t>(a & 0xFFFF) * static_cast<int16_t>(b & 0xFFFF));
  }
  static Lanes add_products(Lanes sum, Lanes a, Lanes b) {
    for (size_t i = 0; i < 4; ++i) sum.v[i] += product(a.v[i], b.v[i]) + product(a.v[i] >> 16, b.v[i] >> 16);
    return sum;
  }
};

}  // namespace

constinit const IntegerTier kPortableIntegers = make_integer_tier<Lanes>();

}  // namespace tandem::cpu
