// Products of bf16 in plain C++.
#include "kernels/cpu/bf16/make_kernel.h"
#include "kernels/cpu/bf16/tiers.h"

namespace tandem::cpu {
namespace {

struct Plain {
  static constexpr int kLanes = 4, kRows = 2, kPanels = 1;
  using Sum = std::array<float, kLanes>;
  using Weights = std::array<BF16, 2 * kLanes>;
  using Quad = std::array<BF16, 2>;
  template <class T>
  static T read(const void* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
  static Sum load_sums(const float* p) { return read<Sum>(p); }
  static void store(float* p, const Sum& sum) { std::memcpy(p, sum.data(), sizeof sum); }
  static Weights load_weights(const std::byte* p) { return read<Weights>(p); }
  static Quad quad_of(const std::byte* p) { return read<Quad>(p); }
  static Sum add(Sum sum, const Quad& a, const Weights& b) {
    for (size_t i = 0; i < kLanes; ++i) sum[i] += to_float(a[0]) * to_float(b[2 * i]) + to_float(a[1]) * to_float(b[2 * i + 1]);
    return sum;
  }
};

}  // namespace

constinit const Bf16Kernel kPortableBf16 = make_bf16_kernel<Plain>();

}  // namespace tandem::cpu
