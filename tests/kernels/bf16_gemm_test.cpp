// Products of bf16 on every tier of this machine, and of AMX's kernel on tiles in plain C++, beside sums in double.
#include "kernels/api/bf16_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "kernels/cpu/bf16/amx_block.h"

namespace tandem::cpu {
namespace {

std::vector<float> random_floats(int64_t n, std::mt19937& random) {
  std::vector<float> values(static_cast<size_t>(n));
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& x : values) x = uniform(random);
  return values;
}
std::vector<BF16> rounded(const std::vector<float>& values) {
  std::vector<BF16> narrow;
  for (float x : values) narrow.push_back(to_bf16(x));
  return narrow;
}
template <class T>
ConstTensorView view_of(const std::vector<T>& values, DType dtype, const Shape& shape) {
  return {reinterpret_cast<const std::byte*>(values.data()), dtype, shape};
}
template <class T>
TensorView view_of(std::vector<T>& values, DType dtype, const Shape& shape) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype, shape};
}

struct Case {
  int64_t m, k, n;
  bool transposed = false, with_bias = false, with_residual = false, relu = false;
};

// Sums in double of the numbers as rounded, and how far f32 sums may be from them.
struct Expected {
  std::vector<double> value, bound;
};

struct Operands {
  std::vector<float> a, b, bias, residual;
  std::vector<BF16> narrow_a, narrow_residual;

  Operands(const Case& c, std::mt19937& random)
      : a(random_floats(c.m * c.k, random)),
        b(random_floats(c.k * c.n, random)),
        bias(random_floats(c.n, random)),
        residual(random_floats(c.m * c.n, random)),
        narrow_a(rounded(a)),
        narrow_residual(rounded(residual)) {}

  Expected expected(const Case& c) const {
    Expected e;
    for (int64_t i = 0; i < c.m; ++i)
      for (int64_t j = 0; j < c.n; ++j) {
        double sum = c.with_bias ? static_cast<double>(bias[static_cast<size_t>(j)]) : 0, size = std::abs(sum) + 1;
        if (c.with_residual) sum += static_cast<double>(to_float(narrow_residual[static_cast<size_t>(i * c.n + j)]));
        for (int64_t p = 0; p < c.k; ++p) {
          const float w = b[static_cast<size_t>(c.transposed ? j * c.k + p : p * c.n + j)];
          const double product = static_cast<double>(to_float(narrow_a[static_cast<size_t>(i * c.k + p)])) *
                                 static_cast<double>(to_float(to_bf16(w)));
          sum += product, size += std::abs(product);
        }
        e.value.push_back(c.relu ? std::max(sum, 0.0) : sum);
        e.bound.push_back(size * 1e-6);
      }
    return e;
  }
};

void check(const Case& c, Isa isa, int threads) {
  std::mt19937 random(static_cast<uint32_t>(c.m + 10 * c.k + 100 * c.n));
  const Operands o(c, random);
  const Expected expected = o.expected(c);
  const PackedBf16 packed =
      pack_bf16(view_of(o.b, DType::kF32, c.transposed ? Shape{c.n, c.k} : Shape{c.k, c.n}), c.transposed, isa);
  std::vector<std::byte> workspace(bf16_gemm_workspace(c.m, c.k, c.n, isa));
  const KernelContext context = {.threads = threads, .workspace = workspace};
  Bf16Epilogue epilogue;
  if (c.with_bias) epilogue.bias = view_of(o.bias, DType::kF32, {c.n});
  if (c.with_residual) epilogue.residual = view_of(o.narrow_residual, DType::kBF16, {c.m, c.n});
  if (c.relu) epilogue.activation = UnaryOp::kRelu;
  std::vector<float> wide(static_cast<size_t>(c.m * c.n), NAN);
  std::vector<BF16> narrow = o.narrow_residual;  // in place, where there is one
  if (c.with_residual) epilogue.residual.data = reinterpret_cast<const std::byte*>(narrow.data());
  const ConstTensorView a = view_of(o.narrow_a, DType::kBF16, {c.m, c.k});
  bf16_gemm(context, a, packed, view_of(wide, DType::kF32, {c.m, c.n}), epilogue);
  bf16_gemm(context, a, packed, view_of(narrow, DType::kBF16, {c.m, c.n}), epilogue);
  for (size_t i = 0; i < wide.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(wide[i]), expected.value[i], expected.bound[i])
        << name(isa) << ' ' << c.m << 'x' << c.k << 'x' << c.n << " at " << i;
    ASSERT_EQ(narrow[i].bits, to_bf16(wide[i]).bits) << name(isa) << ' ' << c.m << 'x' << c.k << 'x' << c.n << " at " << i;
  }
}

TEST(Bf16Gemm, EveryTierMeetsSumsInDouble) {
  for (Isa isa : available_isas()) {
    for (const Case& c : {Case{1, 1, 1}, Case{1, 0, 5, false, true}, Case{3, 2, 17}, Case{16, 32, 16}, Case{33, 64, 48},
                          Case{31, 7, 40, true}, Case{12, 24, 32, false, true, true}, Case{49, 160, 33, true, true, true, true},
                          Case{70, 33, 31, false, true, false, true}, Case{257, 100, 50, false, false, true},
                          Case{40, 1100, 70, true, true, true}, Case{300, 2050, 18}, Case{37, 2048, 40}})
      check(c, isa, 1);
  }
}

// Activations after bias and residual, of whole and partial panels, into f32 and into bf16.
TEST(Bf16Gemm, ActivationsMeetTheirDefinitions) {
  struct Then {
    Activation activation;
    std::function<double(double)> definition;
  };
  const auto swish = [](double x, double alpha) { return x / (1 + std::exp(-alpha * x)); };
  const std::vector<Then> all = {
      {{UnaryOp::kClip, {.alpha = -0.5f, .beta = 6}}, [](double x) { return std::clamp(x, -0.5, 6.0); }},
      {{UnaryOp::kSwish, {.alpha = 1}}, [&](double x) { return swish(x, 1); }},
      {{UnaryOp::kSwish, {.alpha = -1.5f}}, [&](double x) { return swish(x, -1.5); }},
      {{UnaryOp::kGelu}, [](double x) { return x * std::erfc(-x / std::sqrt(2)) / 2; }},
      {{UnaryOp::kTanh}, [](double x) { return std::tanh(x); }},
  };
  std::mt19937 random(7);
  for (Isa isa : available_isas())
    for (const Then& then : all)
      for (const auto& [m, n] : {std::array<int64_t, 2>{35, 1}, {35, 16}, {5, 24}, {35, 32}, {5, 32}, {35, 71}}) {
        const Case c = {m, 64, n, false, true, true};
        Operands o(c, random);
        for (float& x : o.b) x *= 8;  // sums far beyond where sigmoids are flat
        const Expected sums = o.expected(c);
        const PackedBf16 packed = pack_bf16(view_of(o.b, DType::kF32, {c.k, c.n}), false, isa);
        std::vector<std::byte> workspace(bf16_gemm_workspace(c.m, c.k, c.n, isa));
        std::vector<float> wide(static_cast<size_t>(c.m * c.n));
        std::vector<BF16> narrow(wide.size());
        std::vector<float> wide_residual;
        for (const BF16 x : o.narrow_residual) wide_residual.push_back(to_float(x));
        const auto residual = [&, shape = Shape{m, n}](bool is_short) {
          return is_short ? view_of(o.narrow_residual, DType::kBF16, shape) : view_of(wide_residual, DType::kF32, shape);
        };
        for (const bool is_short : {false, true}) {
          const TensorView y = is_short ? view_of(narrow, DType::kBF16, {c.m, c.n}) : view_of(wide, DType::kF32, {c.m, c.n});
          bf16_gemm({.workspace = workspace}, view_of(o.narrow_a, DType::kBF16, {c.m, c.k}), packed, y,
                    {.bias = view_of(o.bias, DType::kF32, {c.n}),
                     .residual = residual(is_short),
                     .activation = then.activation});
          const std::vector<float> first = wide;
          const std::vector<BF16> first_narrow = narrow;
          bf16_gemm({.workspace = workspace}, view_of(o.narrow_a, DType::kBF16, {c.m, c.k}), packed, y,
                    {.bias = view_of(o.bias, DType::kF32, {c.n}), .residual = residual(!is_short), .activation = then.activation});
          ASSERT_EQ(std::memcmp(first.data(), wide.data(), wide.size() * sizeof(float)), 0) << "by the type of the residual";
          ASSERT_EQ(std::memcmp(first_narrow.data(), narrow.data(), narrow.size() * sizeof(BF16)), 0) << "by the type of the residual";
        }
        for (size_t i = 0; i < wide.size(); ++i) {
          const double y = then.definition(sums.value[i]), bound = 4 * sums.bound[i];
          ASSERT_NEAR(static_cast<double>(wide[i]), y, bound) << name(isa) << ' ' << n << " at " << i;
          // Half a step of bf16, and what short functions are off before that.
          ASSERT_NEAR(static_cast<double>(to_float(narrow[i])), y, bound + std::abs(y) * 0x1.2p-8 + 2.2e-4)
              << name(isa) << ' ' << n << " at " << i;
        }
      }
}

// Sums that are known: 1 by the numbers of B. In whole panels, and one column less, which is finished another way.
TEST(Bf16Gemm, SwishHoldsFarFromZeroAndKeepsNan) {
  constexpr int64_t kColumns = 512;
  std::vector<float> b;
  for (int64_t i = 0; i < kColumns - 4; ++i) b.push_back(to_float(to_bf16(static_cast<float>(i - 256) * (i % 3 == 0 ? 0.01f : 0.7f))));
  b.insert(b.end(), {NAN, INFINITY, 3e38f, -3e38f});
  const std::vector<BF16> a(14, to_bf16(1));
  for (Isa isa : available_isas())
    for (const float alpha : {1.0f, 0.25f, 1.702f})
      for (const int64_t n : {kColumns, kColumns - 1})
        for (const int64_t m : {1, 14}) {
          const PackedBf16 packed = pack_bf16(view_of(b, DType::kF32, {1, n}), false, isa);
          std::vector<std::byte> workspace(bf16_gemm_workspace(m, 1, n, isa));
          std::vector<BF16> y(static_cast<size_t>(m * n));
          bf16_gemm({.workspace = workspace}, view_of(a, DType::kBF16, {m, 1}), packed, view_of(y, DType::kBF16, {m, n}),
                    {.activation = {UnaryOp::kSwish, {.alpha = alpha}}});
          for (size_t i = 0; i < y.size(); ++i) {
            const double x = b[i % static_cast<size_t>(n)], found = to_float(y[i]), expected = x / (1 + std::exp(-alpha * x));
            const std::string where = std::string(name(isa)) + ", " + std::to_string(alpha) + ", " + std::to_string(x);
            if (std::isnan(x)) ASSERT_TRUE(std::isnan(found)) << where;
            else if (std::isinf(x)) ASSERT_EQ(found, x) << where;
            else if (std::abs(x) < 1e3) ASSERT_NEAR(found, expected, std::abs(expected) * (0x1p-8 + 4e-4) + 0x1p-118) << where;
            else ASSERT_NEAR(found, expected, x > 0 ? x * 0x1p-8 : 8) << where;  // -3e38: below 2^-125 of it
          }
        }
}

TEST(Bf16Gemm, BitsDoNotDependOnThreadsOrRows) {
  const Case c = {300, 1030, 200, false, true};
  std::mt19937 random(1);
  const Operands o(c, random);
  for (Isa isa : available_isas()) {
    const PackedBf16 packed = pack_bf16(view_of(o.b, DType::kF32, {c.k, c.n}), false, isa);
    const auto product = [&](int64_t first, int64_t rows, int threads) {
      std::vector<std::byte> workspace(bf16_gemm_workspace(rows, c.k, c.n, isa));
      std::vector<float> y(static_cast<size_t>(rows * c.n));
      ConstTensorView a = view_of(o.narrow_a, DType::kBF16, {rows, c.k});
      a.data += 2 * first * c.k;
      bf16_gemm({.threads = threads, .workspace = workspace}, a, packed, view_of(y, DType::kF32, {rows, c.n}),
                {.bias = view_of(o.bias, DType::kF32, {c.n})});
      return y;
    };
    const std::vector<float> all = product(0, c.m, 1);
    EXPECT_EQ(product(0, c.m, 2), all) << name(isa);
    EXPECT_EQ(product(0, c.m, 3), all) << name(isa);
    const std::vector<float> some = product(77, 50, 1);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + 77 * c.n)) << name(isa);
  }
}

TEST(Bf16Gemm, NanAndInfinityPass) {
  const std::vector<BF16> a = {to_bf16(NAN), to_bf16(1), to_bf16(INFINITY), to_bf16(1), to_bf16(1), to_bf16(-1)};
  const std::vector<float> b = {1, 2, 3, 4};
  for (Isa isa : available_isas()) {
    const PackedBf16 packed = pack_bf16(view_of(b, DType::kF32, {2, 2}), false, isa);
    std::vector<std::byte> workspace(bf16_gemm_workspace(3, 2, 2, isa));
    std::vector<BF16> y(6);
    bf16_gemm({.workspace = workspace}, view_of(a, DType::kBF16, {3, 2}), packed, view_of(y, DType::kBF16, {3, 2}),
              {.activation = UnaryOp::kRelu});
    EXPECT_TRUE(std::isnan(to_float(y[0]))) << name(isa);
    EXPECT_EQ(to_float(y[2]), INFINITY) << name(isa);
    EXPECT_EQ(to_float(y[4]), 0) << name(isa);
  }
}

// The kernel for AMX on tiles that every machine has.
struct Here {};
constexpr Bf16Kernel kPlainTiles = make_bf16_amx_kernel<PlainTiles, Here>();

TEST(Bf16AmxBlock, PlainTilesMeetTheDefinition) {
  std::mt19937 random(3);
  for (const int64_t rows : {1, 15, 17, 32, 33, 49, 100})
    for (const auto& [columns, k] : {std::array<int64_t, 2>{1, 2}, {16, 32}, {17, 48}, {70, 1088}}) {
      const BlockDepth depth = block_depth(2 * k, kPlainTiles.step);
      ASSERT_EQ(depth.bytes, 2 * k);
      const int64_t panels = (columns + 15) / 16;
      const std::vector<BF16> a = rounded(random_floats(rows * (k + 6), random)),
                              b = rounded(random_floats(panels * 16 * k, random));
      const std::vector<float> seeds = random_floats(panels * 16, random);
      std::vector<float> y(static_cast<size_t>(rows * columns));
      Bf16Block block;
      block.a = reinterpret_cast<const std::byte*>(a.data()), block.a_stride = 2 * (k + 6), block.rows = rows;
      block.depth = depth.bytes, block.step = depth.step;
      block.panels = reinterpret_cast<const std::byte*>(b.data()), block.columns = columns, block.seeds = seeds.data();
      block.result = {reinterpret_cast<std::byte*>(y.data()), false, columns};
      kPlainTiles.multiply(block);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c) {
          double sum = static_cast<double>(seeds[static_cast<size_t>(c)]);
          for (int64_t p = 0; p < k; ++p)
            sum += static_cast<double>(to_float(a[static_cast<size_t>(r * (k + 6) + p)])) *
                   static_cast<double>(to_float(b[static_cast<size_t>(c / 16 * 16 * k + p / 2 * 32 + c % 16 * 2 + p % 2)]));
          ASSERT_NEAR(static_cast<double>(y[static_cast<size_t>(r * columns + c)]), sum, 1e-6 * static_cast<double>(k + 4))
              << rows << ' ' << columns << ' ' << k;
        }
    }
}

}  // namespace
}  // namespace tandem::cpu
