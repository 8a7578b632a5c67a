// Channels-last convolutions of integers against sums in the order of the definition, on every tier that the machine has:
// geometries around the sizes of registers and tiles, every combination of types and zero points, and results quantized by the
// exact formula.
#include "kernels/api/integer_conv_channels_last.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/api/requantize.h"
#include "tests/kernels/guarded_memory.h"
#include "tests/kernels/random_bytes.h"

namespace tandem {
namespace {

using Sizes = std::vector<int64_t>;

struct Case {
  const char* name;
  int64_t batch, channels, filters, groups;
  Sizes image, kernel, strides = {}, dilations = {}, pads = {};
};

const Case kCases[] = {
    {"pointwise", 2, 64, 48, 1, {5, 7}, {1, 1}},
    {"pointwise, many pixels", 2, 32, 16, 1, {19, 17}, {1, 1}},
    {"pointwise, ragged", 3, 35, 37, 1, {5, 5}, {1, 1}},
    {"pointwise, deep", 1, 160, 33, 1, {9, 9}, {1, 1}},
    {"pointwise, three channels", 1, 3, 5, 1, {4, 3}, {1, 1}},
    {"pointwise, one pixel", 2, 96, 100, 1, {1, 1}, {1, 1}},
    {"pointwise, many filters", 2, 64, 200, 1, {7, 7}, {1, 1}},
    {"pointwise, many filters, strided", 2, 48, 64, 1, {9, 27}, {1, 1}, {2, 2}},
    {"square, many filters", 1, 32, 136, 1, {5, 14}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"pointwise, strided", 2, 24, 40, 1, {7, 9}, {1, 1}, {2, 2}},
    {"pointwise, padded", 1, 8, 12, 1, {3, 4}, {1, 1}, {}, {}, {1, 0, 2, 1}},
    {"square", 2, 16, 32, 1, {9, 11}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"square, strided", 2, 20, 36, 1, {10, 13}, {3, 3}, {2, 2}, {}, {1, 1, 1, 1}},
    {"square, dilated", 1, 12, 17, 1, {11, 12}, {3, 2}, {1, 2}, {2, 3}, {2, 0, 1, 3}},
    {"deep square", 1, 200, 24, 1, {6, 5}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"first layer", 2, 3, 32, 1, {31, 29}, {7, 7}, {2, 2}, {}, {3, 3, 3, 3}},
    {"first layer, small", 1, 3, 16, 1, {16, 18}, {3, 3}, {2, 2}, {}, {0, 0, 1, 1}},
    {"one channel", 2, 1, 6, 1, {9, 8}, {5, 5}, {}, {}, {2, 2, 2, 2}},
    {"square, whole tiles", 2, 32, 40, 1, {5, 28}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"square, whole tiles, strided", 1, 48, 33, 1, {9, 27}, {3, 3}, {2, 2}, {}, {1, 1, 1, 1}},
    {"square, whole tiles, no pads", 2, 32, 20, 1, {18, 18}, {3, 3}},
    {"square, many strips", 1, 32, 8, 1, {50, 16}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"five, whole tiles, dilated", 1, 32, 4, 1, {13, 13}, {5, 5}, {}, {2, 3}, {4, 6, 4, 6}},
    {"pointwise, strided, whole tiles", 2, 40, 24, 1, {9, 27}, {1, 1}, {2, 2}},
    {"groups, whole tiles", 1, 64, 34, 2, {4, 15}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"first layer, whole tiles", 2, 3, 20, 1, {7, 32}, {7, 7}, {2, 2}, {}, {3, 3, 3, 3}},
    {"line, whole tiles", 2, 16, 20, 1, {26}, {3}, {2}, {}, {1, 1}},
    {"square, wide lines", 2, 20, 40, 1, {7, 31}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"square, wide lines, strided", 1, 12, 37, 1, {9, 59}, {3, 3}, {2, 2}, {}, {1, 1, 1, 1}},
    {"square, wide lines, no pads", 2, 32, 33, 1, {6, 40}, {3, 3}},
    {"square, wide lines, dilated", 1, 8, 16, 1, {9, 33}, {3, 3}, {}, {2, 3}, {2, 3, 2, 3}},
    {"square, wide lines, many strips", 1, 32, 8, 1, {31, 37}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"first layer, wide lines", 2, 3, 20, 1, {11, 70}, {7, 7}, {2, 2}, {}, {3, 3, 3, 3}},
    {"pointwise, strided, wide lines", 2, 40, 24, 1, {5, 59}, {1, 1}, {2, 2}},
    {"square, wide lines, wide pads", 1, 16, 20, 1, {2, 9}, {3, 3}, {}, {2, 1}, {5, 3, 4, 2}},
    {"square, seven by seven", 2, 64, 48, 1, {7, 7}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"square, filters for a team", 1, 64, 130, 1, {7, 7}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"square, filters for a team, blocks of lines", 1, 8, 97, 1, {7, 100}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"square, columns beyond the image", 1, 16, 20, 1, {9, 12}, {3, 3}, {}, {}, {1, 4, 1, 0}},
    {"five by five, strided, unlike borders", 2, 12, 40, 1, {12, 27}, {5, 5}, {1, 2}, {}, {2, 3, 1, 2}},
    {"groups, narrow columns", 1, 16, 68, 2, {9, 9}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"groups, wide lines", 1, 16, 34, 2, {4, 30}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"line, wide", 2, 16, 20, 1, {60}, {3}, {2}, {}, {1, 1}},
    // 64 bytes a patch, which taps apart in the image make no run of.
    {"groups, a line of one run", 1, 32, 32, 4, {32}, {8}, {}, {}, {4, 3}},
    {"a square of one run", 1, 16, 20, 1, {5, 16}, {2, 2}, {}, {}, {0, 0, 1, 1}},
    {"a dilated line of one run", 1, 16, 20, 1, {26}, {4}, {}, {2}, {3, 3}},
    {"wide pads, whole tiles", 1, 32, 8, 1, {3, 3}, {3, 3}, {1, 1}, {}, {5, 4, 6, 7}},
    {"wide pads", 1, 4, 8, 1, {3, 3}, {3, 3}, {2, 1}, {}, {5, 4, 6, 7}},
    {"line", 2, 10, 20, 1, {33}, {3}, {2}, {}, {1, 1}},
    {"volume", 1, 6, 18, 1, {4, 5, 6}, {3, 2, 3}, {1, 2, 1}, {1, 1, 2}, {1, 0, 2, 1, 1, 1}},
    {"groups", 2, 24, 36, 3, {6, 7}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"groups, pointwise", 1, 32, 64, 2, {5, 5}, {1, 1}},
    {"groups, narrow", 1, 32, 32, 8, {5, 6}, {3, 3}, {2, 1}, {}, {1, 1, 1, 1}},
    {"depthwise", 2, 64, 64, 64, {9, 11}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"depthwise, ragged", 2, 83, 83, 83, {7, 10}, {3, 3}, {2, 2}, {}, {1, 1, 1, 1}},
    {"depthwise, vectors of each width", 1, 115, 115, 115, {12, 7}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"depthwise, two vectors", 2, 48, 48, 48, {9, 8}, {3, 3}, {2, 2}, {}, {0, 0, 1, 1}},
    {"depthwise, wide pads", 1, 32, 32, 32, {3, 2}, {3, 3}, {}, {}, {3, 4, 5, 4}},
    {"depthwise, two lines", 1, 80, 80, 80, {6, 9}, {2, 3}, {1, 2}, {}, {1, 2, 0, 1}},
    {"depthwise, line of three", 2, 48, 48, 48, {21}, {3}, {2}, {}, {1, 1}},
    {"depthwise, five by one", 1, 116, 116, 116, {11, 6}, {5, 5}, {}, {}, {2, 2, 2, 2}},
    {"depthwise, few channels", 1, 5, 5, 5, {8, 8}, {3, 3}, {}, {}, {0, 1, 1, 0}},
    {"depthwise, five", 1, 144, 144, 144, {8, 9}, {5, 5}, {2, 2}, {}, {2, 2, 2, 2}},
    {"depthwise, seven dilated", 1, 40, 40, 40, {17, 15}, {7, 5}, {1, 1}, {2, 3}, {6, 6, 6, 6}},
    {"depthwise, line", 2, 20, 20, 20, {21}, {4}, {}, {}, {3, 0}},
    {"depthwise, volume", 1, 18, 18, 18, {3, 5, 4}, {2, 3, 3}, {1, 2, 1}, {}, {1, 1, 1, 0, 1, 1}},
    {"depthwise, multiplied", 1, 10, 30, 10, {6, 6}, {3, 3}, {}, {}, {1, 1, 1, 1}},
    {"empty", 0, 8, 8, 1, {4, 4}, {3, 3}},
};

Shape channels_last(const Shape& x) {
  Shape y{x[0]};
  for (int i = 2; i < x.rank(); ++i) y.push_back(x[i]);
  y.push_back(x[1]);
  return y;
}

struct Problem {
  ConvGeometry geometry;
  Bytes x, w, x_zero, w_zero;
  Shape y;

  Problem(const Case& c, DType x_type, DType w_type, bool zero_a_filter, unsigned seed) {
    Shape image{c.batch, c.channels}, kernel{c.filters, c.channels / c.groups};
    for (const int64_t n : c.image) image.push_back(n);
    for (const int64_t n : c.kernel) kernel.push_back(n);
    Shape one_image = image;
    one_image.set(0, 1);
    geometry = make_conv_geometry(one_image, kernel, c.groups,
                                  {.kernel = {}, .strides = c.strides, .dilations = c.dilations, .pads = c.pads});
    x = Bytes::random(x_type, channels_last(image), seed);
    w = Bytes::random(w_type, kernel, seed + 1);
    x_zero = Bytes::random(x_type, {}, seed + 2);
    w_zero = Bytes::random(w_type, zero_a_filter ? Shape{c.filters} : Shape{}, seed + 3);
    y = channels_last(geometry.output_shape(c.batch));
  }

  // By the definition.
  int32_t sum(int64_t image, std::array<int64_t, 3> at, int64_t filter, bool zeros_of_w) const {
    const Window& v = geometry.window;
    const int64_t channels = geometry.channels / geometry.groups, group = filter / (geometry.filters / geometry.groups);
    int64_t total = 0;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < v.kernel[0]; ++i)
        for (int64_t j = 0; j < v.kernel[1]; ++j)
          for (int64_t k = 0; k < v.kernel[2]; ++k) {
            const int64_t d = at[0] * v.stride[0] + i * v.dilation[0] - v.pad_begin[0];
            const int64_t r = at[1] * v.stride[1] + j * v.dilation[1] - v.pad_begin[1];
            const int64_t q = at[2] * v.stride[2] + k * v.dilation[2] - v.pad_begin[2];
            if (d < 0 || d >= v.input[0] || r < 0 || r >= v.input[1] || q < 0 || q >= v.input[2]) continue;
            const int64_t pixel = ((image * v.input[0] + d) * v.input[1] + r) * v.input[2] + q;
            const int64_t tap = (i * v.kernel[1] + j) * v.kernel[2] + k;
            const int weight = w[(filter * channels + c) * v.kernel_size() + tap] -
                               (zeros_of_w ? w_zero[w_zero.shape.rank() == 0 ? 0 : filter] : 0);
            total += (x[pixel * geometry.channels + group * channels + c] - x_zero[0]) * weight;
          }
    return static_cast<int32_t>(total);
  }
  std::vector<int32_t> sums(bool zeros_of_w) const {
    const Window& v = geometry.window;
    std::vector<int32_t> all;
    for (int64_t image = 0; image < x.shape[0]; ++image)
      for (int64_t p = 0; p < v.output_size(); ++p)
        for (int64_t f = 0; f < geometry.filters; ++f)
          all.push_back(
              sum(image, {p / (v.output[1] * v.output[2]), p / v.output[2] % v.output[1], p % v.output[2]}, f, zeros_of_w));
    return all;
  }
  template <class T>
  std::vector<T> run(cpu::Isa isa, int threads, DType type, bool zeros_of_w, const OutputScales* scales = nullptr,
                     const QuantizedResidual* residual = nullptr) const {
    // Operands and result end at a page that nobody may touch, tiles of AMX too.
    const test::Guarded<T> out(y.elements(), T{77});
    const test::GuardedMemory image(x.data.size());
    std::ranges::copy(x.data, image.bytes().begin());
    const cpu::ChannelsLastIntegerFilters filters =
        cpu::pack_integer_filters_channels_last(geometry, w.view(), zeros_of_w ? w_zero.view() : ConstTensorView{}, isa);
    const size_t bytes = cpu::integer_conv_channels_last_workspace(geometry, threads, isa);
    const std::unique_ptr<std::byte[], void (*)(std::byte*)> workspace(
        new (std::align_val_t{64}) std::byte[bytes], [](std::byte* p) { operator delete[](p, std::align_val_t{64}); });
    cpu::integer_conv_channels_last({.threads = threads, .workspace = {workspace.get(), bytes}}, geometry,
                                    {image.bytes().data(), x.type, x.shape}, x_zero.view(), filters,
                                    {reinterpret_cast<std::byte*>(out.data()), type, y}, scales, residual);
    return {out.data(), out.data() + out.size()};
  }
};

TEST(IntegerConvChannelsLast, EqualsTheDefinitionOnEveryTier) {
  unsigned seed = 1;
  for (const Case& c : kCases)
    for (const DType x_type : {DType::kU8, DType::kI8})
      for (const DType w_type : {DType::kI8, DType::kU8})
        for (const bool zeros_of_w : {false, true}) {
          const Problem problem(c, x_type, w_type, seed % 2 == 0, seed * 10);
          const std::vector<int32_t> sums = problem.sums(zeros_of_w);
          for (const cpu::Isa isa : cpu::available_isas())
            ASSERT_EQ(problem.run<int32_t>(isa, 1, DType::kI32, zeros_of_w), sums)
                << c.name << ' ' << name(x_type) << ' ' << name(w_type) << ' ' << zeros_of_w << ' ' << cpu::name(isa);
          ++seed;
        }
}

// Where the border is nothing but zeros, lines of the kernel that lie on it may be left out.
TEST(IntegerConvChannelsLast, EqualsTheDefinitionWithABorderOfZeros) {
  unsigned seed = 300;
  for (const Case& c : kCases) {
    Problem problem(c, DType::kU8, DType::kI8, false, ++seed);
    problem.x_zero.data[0] = std::byte{0};
    const std::vector<int32_t> sums = problem.sums(false);
    for (const cpu::Isa isa : cpu::available_isas())
      for (const int threads : {1, 3}) ASSERT_EQ(problem.run<int32_t>(isa, threads, DType::kI32, false), sums) << c.name << ' ' << cpu::name(isa);
  }
}

TEST(IntegerConvChannelsLast, ThreadsAndTheBatchChangeNothing) {
  for (const Case& c : kCases) {
    const Problem problem(c, DType::kU8, DType::kI8, false, 7);
    for (const cpu::Isa isa : cpu::available_isas()) {
      const std::vector<int32_t> all = problem.run<int32_t>(isa, 1, DType::kI32, false);
      EXPECT_EQ(problem.run<int32_t>(isa, 3, DType::kI32, false), all) << c.name;
      if (c.batch < 2) continue;
      Problem last = problem;
      last.x.shape.set(0, 1), last.y.set(0, 1);
      last.x.data.erase(last.x.data.begin(), last.x.data.end() - last.x.shape.elements());
      EXPECT_EQ(last.run<int32_t>(isa, 2, DType::kI32, false), std::vector<int32_t>(all.end() - last.y.elements(), all.end()))
          << c.name;
    }
  }
}

// Scales of which many results are ties or next to one: 2^-10 of a small sum is exactly a half often enough.
TEST(IntegerConvChannelsLast, QuantizesByTheExactFormula) {
  unsigned seed = 900;
  for (const Case& c : kCases)
    for (const DType y_type : {DType::kU8, DType::kI8})
      for (const auto& [scale_a_filter, is_bounded, zeros_of_w] : {std::array{false, false, true}, std::array{false, false, false},
                                                                   std::array{true, false, false}, std::array{true, true, y_type == DType::kU8}}) {
        const Problem problem(c, seed % 3 == 0 ? DType::kI8 : DType::kU8, DType::kI8, false, seed);
        ++seed;
        const auto count = static_cast<size_t>(scale_a_filter ? c.filters : 1);
        std::vector<float> w_scales(count, 0.25f), bias(static_cast<size_t>(c.filters), 0.125f);
        for (size_t i = 0; i < count; i += 2) w_scales[i] = 0.1f + 0.001f * static_cast<float>(i);
        const auto bytes = output_scales_bytes(c.filters);
        std::vector<std::byte> memory(bytes + 64);
        auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
        ProductScaling scaling = {.x_scale = 0.125f, .w_scales = w_scales, .y_scale = 16.0f, .y_type = y_type, .y_zero = 3};
        if (scale_a_filter) scaling.bias = {reinterpret_cast<const std::byte*>(bias.data()), DType::kF32, {c.filters}};
        if (is_bounded) scaling.lowest = 0;
        const OutputScales scales = make_output_scales({aligned, bytes}, scaling);
        std::vector<uint8_t> expected;
        const std::vector<int32_t> sums = problem.sums(zeros_of_w);
        for (size_t i = 0; i < sums.size(); ++i)
          expected.push_back(
              static_cast<uint8_t>(requantized(sums[i], scales.exact[scales.count == 1 ? 0 : i % static_cast<size_t>(c.filters)],
                                               scales.low, scales.high) +
                                   scales.zero));
        for (const cpu::Isa isa : cpu::available_isas())
          ASSERT_EQ(problem.run<uint8_t>(isa, 2, y_type, zeros_of_w, &scales), expected) << c.name << ' ' << cpu::name(isa);
      }
}

// Scales of which nearly all are whole parts of lines.
TEST(IntegerConvChannelsLast, QuantizesByFloors) {
  unsigned seed = 700;
  int64_t lines = 0, filters = 0;
  for (const Case& c : kCases)
    for (const DType y_type : {DType::kU8, DType::kI8}) {
      const Problem problem(c, DType::kU8, DType::kI8, false, ++seed);
      std::mt19937 generator(seed);
      std::uniform_real_distribution<float> uniform(0.1f, 0.2f);
      std::vector<float> w_scales(static_cast<size_t>(c.filters)), bias(w_scales.size());
      for (size_t i = 0; i < bias.size(); ++i) w_scales[i] = uniform(generator), bias[i] = 10 * uniform(generator);
      const auto bytes = output_scales_bytes(c.filters);
      std::vector<std::byte> memory(bytes + 64);
      auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
      const OutputScales scales = make_output_scales({aligned, bytes}, {.x_scale = 0.125f,
                                                                        .w_scales = w_scales,
                                                                        .y_scale = 8.0f,
                                                                        .bias = {reinterpret_cast<const std::byte*>(bias.data()), DType::kF32, {c.filters}},
                                                                        .y_type = y_type,
                                                                        .y_zero = 3,
                                                                        .with_floors = true});
      filters += c.filters;
      for (int64_t i = 0; i < c.filters; ++i) lines += scales.floors.slope[i] != 0;
      std::vector<uint8_t> expected;
      const std::vector<int32_t> sums = problem.sums(false);
      for (size_t i = 0; i < sums.size(); ++i)
        expected.push_back(
            static_cast<uint8_t>(requantized(sums[i], scales.exact[i % static_cast<size_t>(c.filters)], scales.low, scales.high) + scales.zero));
      for (const cpu::Isa isa : cpu::available_isas())
        ASSERT_EQ(problem.run<uint8_t>(isa, 2, y_type, false, &scales), expected) << c.name << ' ' << cpu::name(isa);
    }
  EXPECT_GT(10 * lines, 9 * filters);
}

// Lines that are wrong everywhere, and say so of the one sum that there is: of one filter alone, then all it shares a tile with is done again.
TEST(IntegerConvChannelsLast, FloorsLeaveExceptionsToTheFormula) {
  Problem problem({"", 1, 8, 32, 1, {5, 5}, {1, 1}}, DType::kU8, DType::kI8, false, 78);
  std::ranges::fill(problem.x.data, std::byte{29});
  const std::vector<int32_t> sums = problem.sums(false);
  const std::vector<float> w_scales(32, 0.17f);
  const auto bytes = output_scales_bytes(32);
  std::vector<std::byte> memory(bytes + 64);
  auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
  OutputScales scales = make_output_scales({aligned, bytes}, {.x_scale = 0.125f, .w_scales = w_scales, .y_scale = 8.0f, .y_zero = 3});
  std::vector<uint8_t> expected;
  for (size_t i = 0; i < sums.size(); ++i)
    expected.push_back(static_cast<uint8_t>(requantized(sums[i], scales.exact[i % 32], scales.low, scales.high) + scales.zero));
  const std::vector<float> slope(32, 0.125f), offset(32, 7.0f);
  for (size_t filter = 0; filter < 32; ++filter) {
    std::vector<int32_t> exception(32, kNoException);
    exception[filter] = sums[filter];
    scales.floors = {slope.data(), offset.data(), exception.data()};
    for (const cpu::Isa isa : cpu::available_isas())
      ASSERT_EQ(problem.run<uint8_t>(isa, 1, DType::kU8, false, &scales), expected) << cpu::name(isa) << ' ' << filter;
  }
}

// Sums that are a multiple of 8 lie 2^-40 below a whole number: rounded in any other way they would be that.
TEST(IntegerConvChannelsLast, FloorsAreRoundedDown) {
  const Problem problem({"", 1, 8, 32, 1, {5, 5}, {1, 1}}, DType::kU8, DType::kI8, false, 79);
  const float multiplier = 0.125f, addend = -0.5f, decided_exactly = 1.0f, offset = -0x1p-40f;
  const ResultScale exact = {.product = 0.125, .bias = -0.5, .bias_rest = -0x1p-40, .unit = 1};
  const OutputScales scales = {.multiplier = &multiplier,
                               .addend = &addend,
                               .tolerance = &decided_exactly,
                               .exact = &exact,
                               .low = -128,
                               .high = 127,
                               .zero = 0,
                               .floors = {&multiplier, &offset, &kNoException}};
  std::vector<int8_t> expected;
  for (const int32_t sum : problem.sums(false)) expected.push_back(static_cast<int8_t>(std::clamp(static_cast<int32_t>(std::floor(sum / 8.0)) - (sum % 8 == 0), -128, 127)));
  for (const cpu::Isa isa : cpu::available_isas()) ASSERT_EQ(problem.run<int8_t>(isa, 1, DType::kI8, false, &scales), expected) << cpu::name(isa);
}

// Scales of which sums lie beyond what i32 holds in units of the result, or just within.
TEST(IntegerConvChannelsLast, SaturatesWhatIsFarOutside) {
  for (const Case& c : {Case{"", 1, 64, 80, 1, {5, 5}, {1, 1}}, Case{"", 1, 80, 80, 80, {5, 5}, {3, 3}, {}, {}, {1, 1, 1, 1}}}) {
    const Problem problem(c, DType::kU8, DType::kI8, false, 77);
    const std::vector<int32_t> sums = problem.sums(false);
    for (const float y_scale : {1e-9f, 1e-6f, 0.1f, 0.3f}) {
      const float w_scale = 0.25f;
      std::vector<std::byte> memory(output_scales_bytes(1) + 64);
      auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
      const OutputScales scales = make_output_scales({aligned, output_scales_bytes(1)},
                                                     {.x_scale = 0.125f, .w_scales = {&w_scale, 1}, .y_scale = y_scale, .y_zero = 3});
      for (const cpu::Isa isa : cpu::available_isas()) {
        const std::vector<uint8_t> bytes = problem.run<uint8_t>(isa, 1, DType::kU8, false, &scales);
        for (size_t i = 0; i < sums.size(); ++i)
          ASSERT_EQ(bytes[i], std::clamp(std::nearbyint(sums[i] * 0.03125 / static_cast<double>(y_scale)) + 3, 0.0, 255.0)) << cpu::name(isa);
      }
    }
  }
}

// The sum of two nodes, in one: by the definition of the sum, from the bytes of the convolution alone.
TEST(IntegerConvChannelsLast, AddsAResidual) {
  unsigned seed = 500;
  for (const Case& c : kCases)
    for (const DType own : {DType::kU8, DType::kI8})
      for (const DType type : {DType::kU8, DType::kI8}) {
        const Problem problem(c, DType::kU8, DType::kI8, false, ++seed);
        const float w_scale = 0.0625f;
        std::vector<std::byte> memory(output_scales_bytes(1) + 64);
        auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
        const OutputScales scales =
            make_output_scales({aligned, output_scales_bytes(1)},
                               {.x_scale = 0.125f, .w_scales = {&w_scale, 1}, .y_scale = 16.0f, .y_type = own, .y_zero = 3});
        const Bytes other = Bytes::random(seed % 2 ? DType::kU8 : DType::kI8, problem.y, seed);
        QuantizedResidual residual = {
            .other = {other.view(), 0.011f, 9}, .type = own, .scale = 0.017f, .zero = 3, .y_scale = 0.023f, .y_zero = 5};
        const std::vector<uint8_t> bytes = problem.run<uint8_t>(cpu::Isa::kPortable, 1, own, false, &scales);
        std::vector<uint8_t> expected;
        for (size_t i = 0; i < bytes.size(); ++i) {
          const int number = own == DType::kI8 ? static_cast<int8_t>(bytes[i]) : bytes[i];
          const float sum =
              static_cast<float>(number - 3) * 0.017f + static_cast<float>(other[static_cast<int64_t>(i)] - 9) * 0.011f;
          const int low = type == DType::kI8 ? -128 : 0;
          expected.push_back(
              static_cast<uint8_t>(std::clamp(static_cast<int>(std::nearbyintf(sum / 0.023f)) + 5, low, low + 255)));
        }
        for (const cpu::Isa isa : cpu::available_isas())
          for (const int threads : {1, 3}) {
            residual.quick = threads == 1 ? cpu::quick_residual(residual, type, isa) : QuickResidual{};
            ASSERT_EQ(problem.run<uint8_t>(isa, threads, type, false, &scales, &residual), expected)
                << c.name << ' ' << cpu::name(isa);
          }
      }
}

TEST(IntegerConvChannelsLast, RefusesWrongOperands) {
  const Case c = {"", 1, 4, 6, 1, {4, 4}, {3, 3}};
  Problem problem(c, DType::kU8, DType::kI8, true, 1);
  problem.w_zero.shape = {5};
  EXPECT_THROW(cpu::pack_integer_filters_channels_last(problem.geometry, problem.w.view(), problem.w_zero.view()), Error);
  problem.x.shape = {1, 4, 4, 5};
  EXPECT_THROW(problem.run<int32_t>(cpu::chosen_isa(), 1, DType::kI32, false), Error);
}

}  // namespace
}  // namespace tandem
