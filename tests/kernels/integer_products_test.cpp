// Integer products and convolutions against sums in the order of the definition, on ragged sizes, in every combination of types
// and zero points.
#include "kernels/api/integer_products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/api/integer_gemm.h"
#include "kernels/api/quantize.h"
#include "kernels/api/requantize.h"
#include "tests/kernels/guarded_memory.h"
#include "tests/kernels/random_bytes.h"
#include "tests/kernels/requantize_reference.h"

namespace tandem {
namespace {

std::vector<int32_t> multiply(const Bytes& a, const Bytes* a_zero, const Bytes& b, const Bytes* b_zero, const Shape& y,
                              int threads) {
  // All end at a page that nobody may touch.
  const test::Guarded<int32_t> out(y.elements(), -1);
  const test::GuardedMemory left(a.data.size()), right(b.data.size());
  std::ranges::copy(a.data, left.bytes().begin());
  std::ranges::copy(b.data, right.bytes().begin());
  std::vector<std::byte> workspace(cpu::quantized_matmul_workspace_bytes(a.shape, b.shape, false));
  cpu::quantized_matmul({.threads = threads, .workspace = workspace}, {left.bytes().data(), a.type, a.shape},
                        a_zero ? a_zero->view() : ConstTensorView{}, {right.bytes().data(), b.type, b.shape},
                        b_zero ? b_zero->view() : ConstTensorView{}, {reinterpret_cast<std::byte*>(out.data()), DType::kI32, y});
  return {out.data(), out.data() + out.size()};
}

TEST(IntegerMatmul, EqualsTheDefinition) {
  unsigned seed = 0;
  for (DType ta : {DType::kU8, DType::kI8})
    for (DType tb : {DType::kU8, DType::kI8})
      for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 7}, {17, 33, 64}, {65, 140, 129}, {2, 40, 0}})
        for (bool per_line : {false, true}) {
          const Bytes a = Bytes::random(ta, {m, k}, ++seed), b = Bytes::random(tb, {k, n}, ++seed);
          const Bytes za = Bytes::random(ta, {per_line ? m : 1}, ++seed), zb = Bytes::random(tb, {per_line ? n : 1}, ++seed);
          const std::vector<int32_t> y = multiply(a, &za, b, &zb, {m, n}, 1);
          for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < n; ++j) {
              int32_t sum = 0;
              for (int64_t p = 0; p < k; ++p)
                sum += (a[i * k + p] - za[per_line ? i : 0]) * (b[p * n + j] - zb[per_line ? j : 0]);
              ASSERT_EQ(y[static_cast<size_t>(i * n + j)], sum) << m << 'x' << n << 'x' << k << " at " << i << ',' << j;
            }
          EXPECT_EQ(multiply(a, &za, b, &zb, {m, n}, 3), y);
        }
}

// Blocks of rows meet all of B in turn, and rows a page apart are copied from nine on.
TEST(IntegerMatmul, LongRowsEqualTheDefinition) {
  unsigned seed = 0;
  for (DType ta : {DType::kU8, DType::kI8})
    for (const int64_t m : {8, 9, 300}) {
      const int64_t n = 150, k = 4096;
      const Bytes a = Bytes::random(ta, {m, k}, ++seed), b = Bytes::random(DType::kI8, {k, n}, ++seed);
      const Bytes za = Bytes::random(ta, {m}, ++seed), zb = Bytes::random(DType::kI8, {n}, ++seed);
      const std::vector<int32_t> y = multiply(a, &za, b, &zb, {m, n}, 1);
      for (int64_t i = 0; i < m; i += 1 + m / 23)
        for (int64_t j = 0; j < n; j += 7) {
          int32_t sum = 0;
          for (int64_t p = 0; p < k; ++p) sum += (a[i * k + p] - za[i]) * (b[p * n + j] - zb[j]);
          ASSERT_EQ(y[static_cast<size_t>(i * n + j)], sum) << m << " rows at " << i << ',' << j;
        }
      EXPECT_EQ(multiply(a, &za, b, &zb, {m, n}, 3), y);
    }
}

// As many terms of the largest products as 32 bits hold: what the pass on quantized products lets through at most.
TEST(IntegerMatmul, TheLongestSumsOfExtremes) {
  for (const auto& [ta, tb] :
       {std::pair{DType::kU8, DType::kU8}, {DType::kU8, DType::kI8}, {DType::kI8, DType::kU8}, {DType::kI8, DType::kI8}}) {
    const auto extreme = [](DType type) { return type == DType::kI8 ? -128 : 255; };
    const int each = extreme(ta) * extreme(tb);
    const int64_t k = std::numeric_limits<int32_t>::max() / std::abs(each), m = 3, n = 17;
    Bytes a = Bytes::random(ta, {m, k}, 1), b = Bytes::random(tb, {k, n}, 2);
    std::ranges::fill(a.data, static_cast<std::byte>(extreme(ta)));
    std::ranges::fill(b.data, static_cast<std::byte>(extreme(tb)));
    for (const int32_t sum : multiply(a, nullptr, b, nullptr, {m, n}, 1)) ASSERT_EQ(sum, static_cast<int32_t>(k * each));
  }
}

TEST(IntegerMatmul, BatchesBroadcastWithZeroPointsOfTheirOwn) {
  const Bytes a = Bytes::random(DType::kU8, {2, 3, 4}, 1), b = Bytes::random(DType::kI8, {2, 4, 5}, 2);
  const Bytes za = Bytes::random(DType::kU8, {2, 3, 1}, 3), zb = Bytes::random(DType::kI8, {2, 1, 5}, 4);
  const std::vector<int32_t> y = multiply(a, &za, b, &zb, {2, 3, 5}, 2);
  for (int64_t d = 0; d < 2; ++d)
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < 5; ++j) {
        int32_t sum = 0;
        for (int64_t p = 0; p < 4; ++p)
          sum += (a[(d * 3 + i) * 4 + p] - za[d * 3 + i]) * (b[(d * 4 + p) * 5 + j] - zb[d * 5 + j]);
        EXPECT_EQ(y[static_cast<size_t>((d * 3 + i) * 5 + j)], sum);
      }
}

// Plans ask for the largest sizes, runs may have smaller ones.
TEST(IntegerMatmul, SmallerSizesWantNoMoreWorkspace) {
  for (const int64_t first : {0, 4000}) {
    size_t most = 0;
    for (int64_t k = first; k < first + 200; ++k) {
      const size_t bytes = cpu::quantized_matmul_workspace_bytes({2, 9, k}, {2, k, 20}, false);
      EXPECT_GE(bytes, most) << k;
      most = std::max(most, bytes);
    }
  }
}

// A batch of 1 leaves B no leading axes: its products keep the rows that they have in the plan for a batch of 3.
TEST(IntegerMatmul, FewerProductsThanPlannedFitTheWorkspace) {
  const Bytes a = Bytes::random(DType::kU8, {1, 4, 9, 64}, 1), b = Bytes::random(DType::kI8, {1, 1, 64, 20}, 2);
  std::vector<std::byte> workspace(cpu::quantized_matmul_workspace_bytes({3, 4, 9, 64}, {3, 1, 64, 20}, false));
  ASSERT_LT(workspace.size(), cpu::quantized_matmul_workspace_bytes(a.shape, b.shape, false));
  std::vector<int32_t> y(4 * 9 * 20);
  cpu::quantized_matmul({.workspace = workspace}, a.view(), {}, b.view(), {},
                        {reinterpret_cast<std::byte*>(y.data()), DType::kI32, {1, 4, 9, 20}});
  EXPECT_EQ(y, multiply(a, nullptr, b, nullptr, {1, 4, 9, 20}, 1));
}

TEST(IntegerConv, EqualsTheDefinition) {
  for (int64_t groups : {1, 2})
    for (int64_t stride : {1, 2}) {
      const Bytes x = Bytes::random(DType::kU8, {2, 4, 9, 11}, 5), w = Bytes::random(DType::kI8, {6, 4 / groups, 3, 2}, 6);
      const Bytes zx = Bytes::random(DType::kU8, {}, 7), zw = Bytes::random(DType::kI8, {6}, 8);
      const std::vector<int64_t> strides = {stride, 1}, dilations = {1, 2}, pads = {1, 0, 2, 3};
      WindowOptions options;
      options.strides = strides, options.dilations = dilations, options.pads = pads;
      const ConvGeometry geometry = make_conv_geometry(x.shape, w.shape, groups, options);
      const Shape shape = geometry.output_shape(2);
      for (int threads : {1, 3}) {
        std::vector<int32_t> y(static_cast<size_t>(shape.elements()));
        std::vector<std::byte> workspace(cpu::integer_conv_workspace_bytes(geometry, threads) +
                                         cpu::integer_conv_filter_bytes(geometry));
        cpu::integer_conv({.threads = threads, .workspace = workspace}, geometry, x.view(), zx.view(), w.view(), zw.view(),
                          {reinterpret_cast<std::byte*>(y.data()), DType::kI32, shape});
        size_t at = 0;
        for (int64_t image = 0; image < 2; ++image)
          for (int64_t f = 0; f < 6; ++f)
            for (int64_t row = 0; row < shape[2]; ++row)
              for (int64_t column = 0; column < shape[3]; ++column) {
                int32_t sum = 0;
                for (int64_t c = 0; c < 4 / groups; ++c)
                  for (int64_t i = 0; i < 3; ++i)
                    for (int64_t j = 0; j < 2; ++j) {
                      const int64_t r = row * stride - 1 + i, q = column + j * 2;
                      if (r < 0 || r >= 9 || q >= 11) continue;
                      const int64_t channel = f / (6 / groups) * (4 / groups) + c;
                      sum += (x[((image * 4 + channel) * 9 + r) * 11 + q] - zx[0]) *
                             (w[((f * (4 / groups) + c) * 3 + i) * 2 + j] - zw[f]);
                    }
                ASSERT_EQ(y[at++], sum) << groups << ' ' << stride;
              }
      }
    }
}

// Fewer pixels than registers have columns.
TEST(IntegerConv, FewPixelsEqualTheDefinition) {
  unsigned seed = 90;
  for (const DType type : {DType::kU8, DType::kI8})
    for (const auto& [height, width, kernel] : {std::array<int64_t, 3>{1, 1, 1}, {2, 3, 3}, {7, 7, 1}, {5, 7, 3}}) {
      const Bytes x = Bytes::random(type, {2, 5, height, width}, ++seed),
                  w = Bytes::random(DType::kI8, {37, 5, kernel, kernel}, ++seed);
      const Bytes zx = Bytes::random(type, {}, ++seed), zw = Bytes::random(DType::kI8, {37}, ++seed);
      const std::vector<int64_t> pads(4, kernel / 2);
      WindowOptions options;
      options.pads = pads;
      const ConvGeometry geometry = make_conv_geometry(x.shape, w.shape, 1, options);
      const Shape shape = geometry.output_shape(2);
      std::vector<int32_t> y(static_cast<size_t>(shape.elements()));
      std::vector<std::byte> workspace(cpu::integer_conv_workspace_bytes(geometry, 2));
      const cpu::PackedWeight filters = cpu::pack_integer_filters(geometry, w.view(), zw.view());
      cpu::integer_conv({.threads = 2, .workspace = workspace}, geometry, x.view(), zx.view(), filters.view(),
                        {reinterpret_cast<std::byte*>(y.data()), DType::kI32, shape});
      size_t at = 0;
      for (int64_t image = 0; image < 2; ++image)
        for (int64_t f = 0; f < 37; ++f)
          for (int64_t r = 0; r < height; ++r)
            for (int64_t c = 0; c < width; ++c) {
              int32_t sum = 0;
              for (int64_t k = 0; k < 5 * kernel * kernel; ++k) {
                const int64_t channel = k / (kernel * kernel), line = r + k / kernel % kernel - kernel / 2,
                              column = c + k % kernel - kernel / 2;
                if (line >= 0 && line < height && column >= 0 && column < width)
                  sum += (x[((image * 5 + channel) * height + line) * width + column] - zx[0]) *
                         (w[f * 5 * kernel * kernel + k] - zw[f]);
              }
              ASSERT_EQ(y[at++], sum) << height << ' ' << width << ' ' << kernel;
            }
    }
}

// A filter a channel, done line by line: sizes around those of registers, ragged windows, i8 and u8.
TEST(IntegerConv, DepthwiseEqualsTheDefinition) {
  unsigned seed = 0;
  for (const DType type : {DType::kU8, DType::kI8})
    for (const int64_t stride : {1, 2})
      for (const auto& [height, width, rows, columns, pad] :
           {std::array<int64_t, 5>{9, 11, 3, 3, 1}, {5, 40, 5, 5, 2}, {7, 33, 1, 7, 3}, {4, 4, 3, 2, 0}, {1, 70, 1, 3, 1}}) {
        const Bytes x = Bytes::random(type, {2, 3, height, width}, ++seed),
                    w = Bytes::random(DType::kI8, {3, 1, rows, columns}, ++seed);
        const Bytes zx = Bytes::random(type, {}, ++seed);
        const std::vector<int64_t> strides = {stride, stride}, pads = {rows / 2, pad, rows / 2, pad};
        WindowOptions options;
        options.strides = strides, options.pads = pads;
        const ConvGeometry geometry = make_conv_geometry(x.shape, w.shape, 3, options);
        const Shape shape = geometry.output_shape(2);
        std::vector<int32_t> y(static_cast<size_t>(shape.elements()));
        std::vector<std::byte> workspace(cpu::integer_conv_workspace_bytes(geometry, 2) +
                                         cpu::integer_conv_filter_bytes(geometry));
        cpu::integer_conv({.threads = 2, .workspace = workspace}, geometry, x.view(), zx.view(), w.view(), {},
                          {reinterpret_cast<std::byte*>(y.data()), DType::kI32, shape});
        size_t at = 0;
        for (int64_t plane = 0; plane < 6; ++plane)
          for (int64_t r = 0; r < shape[2]; ++r)
            for (int64_t c = 0; c < shape[3]; ++c) {
              int32_t sum = 0;
              for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < columns; ++j) {
                  const int64_t line = r * stride - rows / 2 + i, column = c * stride - pad + j;
                  if (line >= 0 && line < height && column >= 0 && column < width)
                    sum += (x[(plane * height + line) * width + column] - zx[0]) * w[(plane % 3 * rows + i) * columns + j];
                }
              ASSERT_EQ(y[at++], sum) << width << ' ' << stride << ' ' << plane << ' ' << r << ' ' << c;
            }
      }
}

TEST(Quantized, RoundsHalfToEvenAndSaturates) {
  const IntegerRange u8 = quantized_range(DType::kU8), i8 = quantized_range(DType::kI8);
  EXPECT_EQ(quantized(2.5f, 0, u8), 2);
  EXPECT_EQ(quantized(3.5f, 0, u8), 4);
  EXPECT_EQ(quantized(2.5f, 1, u8), 3);  // rounded before the zero point is added
  EXPECT_EQ(quantized(-2.5f, 0, i8), -2);
  EXPECT_EQ(quantized(1e30f, 3, u8), 255);
  EXPECT_EQ(quantized(-1e30f, 3, i8), -128);
  EXPECT_EQ(quantized(std::numeric_limits<float>::quiet_NaN(), 3, u8), 0);
  for (int x = -70000; x < 70000; ++x) ASSERT_EQ(nearest_integer(static_cast<float>(x)), x);
}

TEST(Requantize, TakesScalesOfRowsAndColumns) {
  const std::vector<int32_t> x = {11, -19, 31, 42, 52, 1002};
  const std::vector<float> rows = {0.5f, 0.25f}, columns = {1, 2, 4};
  std::vector<uint8_t> y(6);
  cpu::requantize({}, x.data(), 2, 3, {rows.data(), 2, columns.data(), 3, 2}, 0.5f, 5,
                  {reinterpret_cast<std::byte*>(y.data()), DType::kU8, {2, 3}});
  EXPECT_EQ(y, (std::vector<uint8_t>{16, 0, 129, 26, 57, 255}));
}

struct Scaling {
  float x, w, y, bias;
};

// Scales around which ties are likely, on both sides and exactly.
std::vector<Scaling> scalings() {
  std::vector<Scaling> all = {{0.5f, 0.25f, 1.0f, 0}, {0.5f, 0.25f, 0.25f, 0.125f}, {0.125f, 1, 0.25f, -3.0f}};
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> uniform(0.001f, 0.1f);
  for (int i = 0; i < 50; ++i) {
    const float x = uniform(generator), w = uniform(generator) / 8;
    all.push_back({x, w, 2 * x * w, 0});                            // (sum * x * w) / y is near sum / 2
    all.push_back({x, w, 2 * x * w, x});                            // far from it
    all.push_back({x, w, std::nextafter(6 * x * w, 1.0f), x * w});  // near (sum + 1) / 6
  }
  return all;
}

TEST(Requantize, IsTheExactDefinition) {
  for (const Scaling& s : scalings()) {
    const ResultScale scale = {.product = static_cast<double>(s.x) * static_cast<double>(s.w),
                               .bias = static_cast<double>(s.bias),
                               .unit = static_cast<double>(s.y)};
    for (int32_t sum = -600; sum <= 600; ++sum)
      ASSERT_EQ(requantized(sum, scale, -128, 127), test::requantized_reference(sum, s.x, s.w, s.bias, s.y, -128, 127))
          << sum << ' ' << s.x << ' ' << s.w;
  }
}

// The lines of every tier, through products with one term: sums are what the operands say.
TEST(Requantize, ProductsGiveTheExactDefinition) {
  const int64_t n = 77;
  const Bytes a = Bytes::random(DType::kU8, {31, 1}, 1), b = Bytes::random(DType::kI8, {1, n}, 2);
  std::vector<std::byte> workspace(cpu::quantized_matmul_workspace_bytes(a.shape, b.shape, false));
  for (const Scaling& s : scalings())
    for (const bool per_column : {false, true}) {
      std::vector<float> w(per_column ? static_cast<size_t>(n) : 1, s.w), bias(static_cast<size_t>(n), s.bias);
      if (per_column)
        for (size_t j = 0; j < w.size(); ++j) w[j] *= 1 + static_cast<float>(j % 5) / 4;
      std::vector<std::byte> memory(output_scales_bytes(n) + 64);
      auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
      const ConstTensorView bias_view = {reinterpret_cast<const std::byte*>(bias.data()), DType::kF32, {n}};
      const OutputScales scales = make_output_scales(
          {aligned, output_scales_bytes(n)}, {.x_scale = s.x, .w_scales = w, .y_scale = s.y, .bias = bias_view, .y_zero = 7});
      std::vector<uint8_t> y(31 * n);
      cpu::quantized_matmul({.threads = 1, .workspace = workspace}, a.view(), {}, b.view(), {},
                            {reinterpret_cast<std::byte*>(y.data()), DType::kU8, {31, n}}, &scales);
      for (int64_t i = 0; i < 31; ++i)
        for (int64_t j = 0; j < n; ++j)
          ASSERT_EQ(y[static_cast<size_t>(i * n + j)] - 7,
                    test::requantized_reference(a[i] * b[j], s.x, w[per_column ? static_cast<size_t>(j) : 0], s.bias, s.y, -7, 248));
    }
}

TEST(Requantize, BiasInUnitsOfItsOwnIsNotRounded) {
  // 3 * 0.1f is no float: in doubles, (2^31 - 1) * 0.1f has more bits than a double.
  const std::vector<int32_t> bias = {2147483647};
  const std::vector<float> one = {1.0f}, unit = {0.1f};
  std::vector<std::byte> memory(output_scales_bytes(1) + 64);
  auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
  const OutputScales scales = make_output_scales({aligned, output_scales_bytes(1)},
                                                 {.x_scale = 1,
                                                  .w_scales = one,
                                                  .y_scale = 1,
                                                  .bias = {reinterpret_cast<const std::byte*>(bias.data()), DType::kI32, {1}},
                                                  .bias_scales = unit});
  EXPECT_EQ(scales.exact[0].bias + scales.exact[0].bias_rest, scales.exact[0].bias);
  EXPECT_NE(scales.exact[0].bias_rest, 0);
}

TEST(Requantize, AnActivationIsAClamp) {
  const std::vector<float> one = {1.0f};
  std::vector<std::byte> memory(output_scales_bytes(1) + 64);
  auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
  const OutputScales scales =
      make_output_scales({aligned, output_scales_bytes(1)},
                         {.x_scale = 1, .w_scales = one, .y_scale = 0.25f, .y_zero = 100, .lowest = 0, .highest = 6});
  EXPECT_EQ(scales.low, 0);
  EXPECT_EQ(scales.high, 24);
}

}  // namespace
}  // namespace tandem
