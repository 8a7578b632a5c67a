// Convolutions of bf16 on every tier of this machine, and of AMX's kernel on tiles in plain C++, beside sums in double; operands and
// workspace end at pages that cannot be touched.
#include "kernels/api/bf16_conv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/bf16/amx_block.h"
#include "kernels/cpu/bf16/conv.h"
#include "tests/kernels/channels_last_reference.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::ConvCase, test::geometry_of, test::noise;
using Numbers = std::vector<float>;

struct Here {};
constexpr Bf16Kernel kPlainTiles = make_bf16_amx_kernel<PlainTiles, Here>();

tandem::test::GuardedMemory guarded(const Numbers& values, bool is_short) {
  tandem::test::GuardedMemory memory(values.size() * (is_short ? 2 : 4));
  for (size_t i = 0; i < values.size(); ++i)
    if (is_short)
      reinterpret_cast<BF16*>(memory.bytes().data())[i] = to_bf16(values[i]);
    else
      reinterpret_cast<float*>(memory.bytes().data())[i] = values[i];
  return memory;
}
Numbers rounded(Numbers values) {
  for (float& x : values) x = to_float(to_bf16(x));
  return values;
}

// Operands of one case, rounded to bf16 where they are read so.
struct Operands {
  ConvGeometry g;
  int64_t batch, results;
  Numbers x, w, bias, residual;
  std::vector<double> expected;

  explicit Operands(const ConvCase& c)
      : g(geometry_of(c)), batch(c.x[0]), results(batch * g.window.output_size() * g.filters),
        x(rounded(noise(batch * g.window.input_size() * g.channels, 1))), w(rounded(noise(c.w.elements(), 2))),
        bias(noise(g.filters, 3)), residual(rounded(noise(results, 4))), expected(test::convolved(g, batch, x, w)) {
    for (int64_t i = 0; i < results; ++i)
      expected[static_cast<size_t>(i)] += static_cast<double>(bias[static_cast<size_t>(i % g.filters)]) +
                                          static_cast<double>(residual[static_cast<size_t>(i)]);
  }
  double bound() const { return 1e-6 * static_cast<double>(w.size()) / static_cast<double>(g.filters) + 1e-5; }
};

// By the products of `kernel`, whatever this machine has. `scale`: factors of the image's channels, or none.
Numbers convolve(const Operands& o, const Bf16Kernel& kernel, int threads, const Numbers& scale = {}) {
  std::vector<std::byte> filters(bf16_patch_filter_bytes(o.g, kernel));
  pack_bf16_patch_filters(o.g, kernel, o.w.data(), filters.data());
  const auto x = guarded(o.x, true), residual = guarded(o.residual, true), y = guarded(Numbers(static_cast<size_t>(o.results)), false);
  const auto factors = guarded(scale, false);
  const ConstTensorView factor_view = {factors.bytes().data(), DType::kF32, {static_cast<int64_t>(scale.size())}};
  const tandem::test::GuardedMemory workspace((bf16_patch_workspace(o.g, kernel, threads, !scale.empty()) + 63) / 64 * 64);
  std::fill_n(workspace.bytes().data(), workspace.bytes().size(), std::byte{0xFF});  // NaN, should any be read
  Bf16Epilogue epilogue;
  epilogue.bias = test::view(o.bias, {o.g.filters});
  epilogue.residual = {residual.bytes().data(), DType::kBF16, {o.results}};
  const TensorView result = {y.bytes().data(), DType::kF32, {o.results}};
  const ConstTensorView image = {x.bytes().data(), DType::kBF16, {static_cast<int64_t>(o.x.size())}};
  convolve_bf16_patches({.threads = threads, .workspace = workspace.bytes()},
                        {o.g, kernel, Isa::kPortable, image, filters.data(), result, epilogue, o.batch,
                         scale.empty() ? ConstTensorView{} : factor_view});
  const auto* values = reinterpret_cast<const float*>(y.bytes().data());
  return {values, values + o.results};
}

std::vector<const Bf16Kernel*> kernels() {
  std::vector<const Bf16Kernel*> all = {&kPlainTiles};
  for (Isa isa : available_isas()) all.push_back(&bf16_kernel(isa));
  return all;
}

const std::vector<ConvCase> kCases = {
    {"pointwise", {2, 48, 5, 6}, {20, 48, 1, 1}},
    {"first layer", {1, 3, 20, 20}, {24, 3, 7, 7}, 1, {2, 2}, {}, {3, 3, 3, 3}},
    {"first layer of few lines", {2, 3, 11, 9}, {17, 3, 5, 5}, 1, {}, {}, {2, 2, 2, 2}},
    {"first layer, 3 x 3", {1, 3, 30, 30}, {16, 3, 3, 3}, 1, {2, 2}, {}, {0, 0, 1, 1}},
    {"first layer of an image without a border", {2, 3, 19, 33}, {20, 3, 3, 5}, 1, {1, 2}},
    {"first layer, dilated", {1, 3, 40, 40}, {16, 3, 5, 5}, 1, {1, 2}, {3, 1}, {1, 2, 3, 4}},
    {"lines of more than a block", {1, 32, 3, 300}, {16, 32, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"lines of more than a block, in place", {1, 32, 2, 560}, {16, 32, 1, 3}, 1},
    {"lines whose end is no tile's", {2, 32, 6, 34}, {16, 32, 3, 3}, 1, {2, 2}, {}, {1, 1, 1, 1}},
    {"tiles of 14", {2, 32, 9, 14}, {40, 32, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"two tiles a line", {1, 64, 20, 28}, {33, 64, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"many runs and parts of k", {1, 96, 6, 12}, {16, 96, 5, 5}, 1, {}, {}, {2, 2, 2, 2}},
    {"strides", {1, 32, 25, 31}, {18, 32, 3, 3}, 1, {2, 2}, {}, {1, 1, 1, 1}},
    {"every second pixel, in place", {2, 32, 8, 24}, {70, 32, 1, 1}, 1, {2, 2}},
    {"in place, without a border", {1, 32, 9, 18}, {17, 32, 3, 5}, 1},
    {"dilated", {1, 32, 14, 14}, {32, 32, 3, 3}, 1, {}, {2, 3}, {2, 3, 2, 3}},
    {"groups", {1, 128, 7, 14}, {64, 32, 3, 3}, 4, {}, {}, {1, 1, 1, 1}},
    {"images as lines", {5, 64, 7, 7}, {48, 64, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"columns beyond the image", {1, 32, 9, 12}, {20, 32, 3, 3}, 1, {}, {}, {1, 4, 1, 0}},
    {"five by five, strides, unlike borders", {2, 32, 12, 27}, {40, 32, 5, 5}, 1, {1, 2}, {}, {2, 3, 1, 2}},
    {"groups of few pixels", {2, 64, 9, 9}, {68, 32, 3, 3}, 2, {}, {}, {1, 1, 1, 1}},
    {"filters for a team", {1, 64, 7, 7}, {130, 64, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"filters for a team, blocks of lines", {1, 16, 7, 100}, {100, 16, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"images of few lines", {9, 32, 2, 5}, {16, 32, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"one pixel", {3, 32, 1, 1}, {16, 32, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"images of groups, unlike borders", {2, 64, 6, 9}, {34, 32, 3, 2}, 2, {}, {}, {2, 0, 1, 1}},
    {"small images, strides", {2, 32, 7, 9}, {16, 32, 3, 3}, 1, {2, 2}, {}, {1, 1, 1, 1}},
};

TEST(Bf16Conv, EveryTierMeetsSumsInDouble) {
  for (const ConvCase& c : kCases) {
    const Operands o(c);
    for (const Bf16Kernel* kernel : kernels()) {
      const Numbers y = convolve(o, *kernel, 1);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_NEAR(static_cast<double>(y[i]), o.expected[i], o.bound()) << c.what << ", tiles of " << kernel->step << ", at " << i;
      for (const int threads : {2, 3}) ASSERT_EQ(convolve(o, *kernel, threads), y) << c.what << ", tiles of " << kernel->step;
    }
  }
}

// An image's results do not depend on those that go with it.
// What is infinite reaches the pixels under whose kernel it lies, not one beside them.
TEST(Bf16Conv, FirstLayersKeepWhatIsInfiniteToItsWindow) {
  for (const ConvCase& c : kCases) {
    if (c.x[1] != 3) continue;
    Operands o(c);
    const size_t middle = o.x.size() / 6 * 3;  // first channels of neighbouring pixels, and the ends
    for (const size_t at : {size_t{0}, middle + 12, middle + 15, middle + 18, middle + 21, middle + 23, o.x.size() - 1}) {
      Operands one = o;
      one.x[at] = INFINITY;
      const std::vector<double> sums = test::convolved(o.g, o.batch, one.x, o.w);
      for (const Bf16Kernel* kernel : kernels()) {
        const Numbers y = convolve(one, *kernel, 1);
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_EQ(std::isfinite(y[i]), std::isfinite(sums[i])) << c.what << ", number " << at << ", at " << i;
          if (!std::isfinite(sums[i])) continue;
          ASSERT_NEAR(static_cast<double>(y[i]), o.expected[i], o.bound()) << c.what << ", number " << at << ", at " << i;
        }
      }
    }
  }
}

TEST(Bf16Conv, BitsDoNotDependOnTheBatch) {
  for (const ConvCase& c : kCases) {
    const Operands all(c);
    Operands last = all;
    last.batch = 1, last.results = all.results / all.batch;
    last.x.erase(last.x.begin(), last.x.end() - static_cast<int64_t>(all.x.size()) / all.batch);
    last.residual.erase(last.residual.begin(), last.residual.end() - last.results);
    for (const Bf16Kernel* kernel : kernels()) {
      const Numbers y = convolve(all, *kernel, 1), own = convolve(last, *kernel, 1);
      ASSERT_TRUE(std::equal(own.begin(), own.end(), y.end() - last.results)) << c.what << ", tiles of " << kernel->step;
    }
  }
}

// As were the products of image and factors stored in bf16: blocks that begin and end within images, partial vectors, padded rows.
TEST(Bf16Conv, ScalesTheImageAsItIsRead) {
  const std::vector<ConvCase> cases = {{"32 channels", {3, 32, 9, 11}, {16, 32, 1, 1}},
                                       {"a part of a vector", {2, 41, 5, 7}, {20, 41, 1, 1}},
                                       {"less than a vector", {5, 6, 3, 3}, {33, 6, 1, 1}},
                                       {"one pixel", {7, 72, 1, 1}, {18, 72, 1, 1}},
                                       {"many channels", {2, 1155, 4, 5}, {17, 1155, 1, 1}},
                                       {"blocks of pixels", {2, 64, 15, 21}, {40, 64, 1, 1}}};
  for (const ConvCase& c : cases) {
    const Operands o(c);
    const int64_t pixels = o.g.window.output_size(), channels = o.g.channels;
    for (const bool is_shared : {false, true}) {
      const Numbers scale = noise((is_shared ? 1 : o.batch) * channels, 5);
      Operands scaled = o;
      for (int64_t i = 0; i < o.batch * pixels * channels; ++i) {
        const int64_t image = is_shared ? 0 : i / (pixels * channels);
        scaled.x[static_cast<size_t>(i)] *= scale[static_cast<size_t>(image * channels + i % channels)];
      }
      scaled.x = rounded(std::move(scaled.x));
      for (const Bf16Kernel* kernel : kernels())
        for (const int threads : {1, 2, 3})
          ASSERT_EQ(convolve(o, *kernel, threads, scale), convolve(scaled, *kernel, 1)) << c.what << ", tiles of " << kernel->step << ", " << threads;
    }
  }
}

const std::vector<ConvCase> kChannelwise = {
    {"3 x 3", {2, 96, 13, 14}, {96, 1, 3, 3}, 96, {}, {}, {1, 1, 1, 1}},
    {"3 x 3, every second pixel", {1, 144, 15, 17}, {144, 1, 3, 3}, 144, {2, 2}, {}, {1, 1, 1, 1}},
    {"5 x 5", {1, 48, 11, 9}, {48, 1, 5, 5}, 48, {}, {}, {2, 2, 2, 2}},
    {"5 x 5, every second pixel", {2, 80, 14, 15}, {80, 1, 5, 5}, 80, {2, 2}, {}, {2, 2, 2, 2}},
    {"7 x 7", {1, 32, 9, 12}, {32, 1, 7, 7}, 32, {}, {}, {3, 3, 3, 3}},
    {"a part of a vector", {2, 24, 8, 9}, {24, 1, 3, 3}, 24, {}, {}, {1, 1, 1, 1}},
    {"less than a vector", {1, 7, 10, 8}, {7, 1, 5, 5}, 7, {2, 2}, {}, {2, 2, 2, 2}},
    {"dilated", {1, 40, 12, 13}, {40, 1, 3, 3}, 40, {}, {2, 3}, {2, 3, 2, 3}},
    {"one line, unlike borders", {1, 16, 4, 30}, {16, 1, 1, 4}, 16, {}, {}, {0, 3, 0, 1}},
    {"many columns", {1, 64, 3, 130}, {64, 1, 3, 3}, 64, {}, {}, {1, 1, 1, 1}},
    {"one pixel", {3, 32, 1, 1}, {32, 1, 3, 3}, 32, {}, {}, {1, 1, 1, 1}},
};

// Channel by channel, by the kernel of `isa`; to bf16, or f32.
Numbers convolve_channels(const Operands& o, Isa isa, const Activation& activation, bool is_short, int threads) {
  const Bf16Filters filters = pack_bf16_filters(o.g, test::view(o.w, {o.g.filters, 1, o.g.window.kernel[1], o.g.window.kernel[2]}), isa);
  const auto x = guarded(o.x, true), residual = guarded(o.residual, true), y = guarded(Numbers(static_cast<size_t>(o.results)), is_short);
  const tandem::test::GuardedMemory workspace((bf16_conv_workspace(o.g, threads, isa) + 63) / 64 * 64);
  Bf16Epilogue epilogue;
  epilogue.bias = test::view(o.bias, {o.g.filters});
  epilogue.residual = {residual.bytes().data(), DType::kBF16, {o.results}};
  epilogue.activation = activation;
  bf16_conv({.threads = threads, .workspace = workspace.bytes()}, o.g,
            {x.bytes().data(), DType::kBF16, channels_last_input_shape(o.g, o.batch)}, filters,
            {y.bytes().data(), is_short ? DType::kBF16 : DType::kF32, channels_last_output_shape(o.g, o.batch)}, epilogue);
  Numbers values(static_cast<size_t>(o.results));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = is_short ? to_float(reinterpret_cast<const BF16*>(y.bytes().data())[i]) : reinterpret_cast<const float*>(y.bytes().data())[i];
  return values;
}

// Results in bf16 may be another kernel's than those in f32.
TEST(Bf16Conv, ChannelsMeetSumsInDoubleAndAreRoundedOnce) {
  const Activation six = {UnaryOp::kClip, {0, 6}};
  for (const ConvCase& c : kChannelwise) {
    const Operands o(c);
    for (const Isa isa : available_isas()) {
      const Numbers wide = convolve_channels(o, isa, {}, false, 1);
      for (size_t i = 0; i < wide.size(); ++i)
        ASSERT_NEAR(static_cast<double>(wide[i]), o.expected[i], o.bound()) << c.what << ", " << name(isa) << ", at " << i;
      ASSERT_EQ(convolve_channels(o, isa, {}, true, 1), rounded(wide)) << c.what << ", " << name(isa);
      Numbers clipped = rounded(wide);
      for (float& y : clipped) y = std::clamp(y, 0.0f, 6.0f);
      for (const int threads : {1, 2, 3}) ASSERT_EQ(convolve_channels(o, isa, six, true, threads), clipped) << c.what << ", " << name(isa);
    }
  }
}

TEST(Bf16Conv, SwishOfChannelsIsWithinARounding) {
  for (const ConvCase& c : kChannelwise) {
    const Operands o(c);
    for (const Isa isa : available_isas()) {
      const Numbers y = convolve_channels(o, isa, {UnaryOp::kSwish, {1}}, true, 2);
      for (size_t i = 0; i < y.size(); ++i) {
        const double expected = o.expected[i] / (1 + std::exp(-o.expected[i]));
        ASSERT_NEAR(static_cast<double>(y[i]), expected, std::abs(expected) * (0x1p-8 + 4e-4) + 2 * o.bound()) << c.what << ", " << name(isa);
      }
    }
  }
}

}  // namespace
}  // namespace tandem::cpu
