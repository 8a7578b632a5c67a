// Byte products in plain C++.
#include "kernels/cpu/gemm/integer_block_tile.h"
#include "kernels/cpu/gemm/integer_depthwise_line.h"
#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

struct Lanes {
  static constexpr int kLanes = 4, kRows = 2, kPanels = 1;
  static constexpr bool kOwnFinish = false;
  using Sum = std::array<uint32_t, kLanes>;  // sums wrap
  using Panel = std::array<uint8_t, 4 * kLanes>;
  using Row = std::array<int8_t, 4>;

  static Sum zero() { return {}; }
  static Panel load(const std::byte* p) {
    Panel panel;
    std::memcpy(panel.data(), p, sizeof panel);
    return panel;
  }
  static Panel windows(const std::byte* line, int64_t stride) { return load(copied_windows<kLanes>(line, stride).data()); }
  static Row set(int32_t quad) {
    Row row;
    std::memcpy(row.data(), &quad, sizeof row);
    return row;
  }
  static void store(int32_t* p, const Sum& sum) { std::memcpy(p, sum.data(), sizeof sum); }
  static Sum add_products(Sum sum, const Row& a, const Panel& b) {
    for (size_t i = 0; i < kLanes; ++i)
      sum[i] += static_cast<uint32_t>(a[0] * b[4 * i] + a[1] * b[4 * i + 1] + a[2] * b[4 * i + 2] + a[3] * b[4 * i + 3]);
    return sum;
  }

  using Weights = std::array<int8_t, 4 * kLanes>;
  using Quad = std::array<uint8_t, 4>;
  static Sum load_sums(const int32_t* p) { return read<Sum>(p); }
  static Weights load_weights(const std::byte* p) { return read<Weights>(p); }
  static Quad quad_of(const std::byte* p) { return read<Quad>(p); }
  static Sum add(Sum sum, const Quad& a, const Weights& b) {
    for (size_t i = 0; i < kLanes; ++i)
      sum[i] += static_cast<uint32_t>(a[0] * b[4 * i] + a[1] * b[4 * i + 1] + a[2] * b[4 * i + 2] + a[3] * b[4 * i + 3]);
    return sum;
  }

 private:
  template <class T>
  static T read(const void* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
};

}  // namespace

constinit const IntegerTier kPortableIntegers = make_integer_tier<Lanes>(make_block_kernel<Lanes>(), {&IntegerDepthwiseLine<Lanes>::wide, nullptr});

}  // namespace tandem::cpu
