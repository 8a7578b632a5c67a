// Channels-last convolution against seven nested loops in double, for every tier; operands stand between pages that cannot be touched.
#include "kernels/api/conv_channels_last.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/kernels/activations.h"
#include "tests/kernels/channels_last_reference.h"
#include "tests/kernels/float_tiers.h"

namespace tandem::cpu {
namespace {

using namespace test;

const ConvCase kCases[] = {
    {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"first layer", {2, 3, 23, 21}, {37, 3, 7, 7}, 1, {2, 2}, {}, {3, 3, 3, 3}},
    {"first layer, one channel", {3, 1, 28, 28}, {32, 1, 3, 3}},
    {"first layer, unpadded", {1, 3, 19, 18}, {16, 3, 3, 3}, 1, {2, 2}, {}, {0, 0, 1, 1}},
    {"padded", {2, 64, 11, 13}, {70, 64, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"many channels", {2, 150, 7, 9}, {70, 150, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"many channels and filters", {1, 300, 6, 5}, {130, 300, 3, 3}, 1, {2, 1}, {}, {1, 1, 1, 1}},
    {"many channels, unlike pads", {2, 140, 7, 9}, {64, 140, 3, 2}, 1, {}, {1, 2}, {0, 2, 3, 1}},
    {"many channels, pads wider than the input", {1, 300, 2, 3}, {64, 300, 3, 3}, 1, {}, {}, {4, 5, 4, 5}},
    {"many channels in groups", {1, 280, 6, 5}, {140, 140, 3, 3}, 2, {}, {}, {1, 1, 1, 1}},
    {"many channels, dilated", {1, 36, 14, 15}, {70, 36, 3, 3}, 1, {1, 2}, {2, 3}, {2, 3, 2, 3}},
    {"many channels, 1-D", {2, 50, 50}, {11, 50, 5}, 1, {2}, {3}, {4, 6}},
    {"many channels, 3-D", {2, 40, 4, 5, 6}, {20, 40, 2, 3, 3}, 1, {1, 2, 1}, {}, {0, 1, 1, 1, 1, 0}},
    {"many channels, 3-D, padded in depth", {1, 40, 3, 5, 6}, {20, 40, 3, 3, 3}, 1, {}, {}, {1, 1, 1, 1, 1, 1}},
    {"asymmetric pads", {2, 20, 7, 9}, {13, 20, 3, 2}, 1, {}, {}, {0, 2, 3, 1}},
    {"stride", {2, 17, 15, 16}, {9, 17, 3, 3}, 1, {2, 3}, {}, {1, 0, 1, 2}},
    {"large stride", {1, 18, 20, 21}, {4, 18, 2, 2}, 1, {5, 4}},
    {"dilation", {1, 19, 14, 15}, {6, 19, 3, 3}, 1, {1, 2}, {2, 3}, {2, 3, 2, 3}},
    {"dilation of few channels", {1, 3, 14, 15}, {6, 3, 3, 3}, 1, {1, 2}, {2, 3}, {2, 3, 2, 3}},
    {"pads wider than the input", {1, 17, 2, 3}, {3, 17, 3, 3}, 1, {}, {}, {4, 5, 4, 5}},
    {"pads wider than the input, few channels", {1, 2, 2, 3}, {3, 2, 3, 3}, 1, {}, {}, {4, 5, 4, 5}},
    {"pads never reached by some taps", {1, 16, 3, 3}, {2, 16, 5, 5}, 1, {2, 2}, {}, {3, 3, 3, 3}},
    {"groups", {2, 12, 9, 8}, {15, 4, 3, 3}, 3, {}, {}, {1, 1, 1, 1}},
    {"groups of four", {2, 64, 9, 8}, {64, 4, 3, 3}, 16, {}, {}, {1, 1, 1, 1}},
    {"groups of eight", {1, 40, 9, 8}, {40, 8, 3, 3}, 5, {2, 2}, {}, {1, 1, 1, 1}},
    {"groups of two", {1, 70, 9, 8}, {70, 2, 1, 3}, 35, {}, {1, 2}, {0, 2, 0, 2}},
    {"groups that widen", {1, 6, 5, 4}, {42, 2, 3, 3}, 3, {}, {}, {1, 1, 1, 1}},
    {"groups that narrow", {1, 96, 5, 4}, {8, 24, 3, 3}, 4, {}, {}, {1, 1, 1, 1}},
    {"wide groups", {2, 40, 6, 5}, {26, 20, 3, 3}, 2, {}, {}, {1, 0, 0, 1}},
    {"depthwise", {2, 7, 10, 11}, {7, 1, 3, 3}, 7, {}, {}, {1, 1, 1, 1}},
    {"depthwise, many channels", {1, 90, 12, 19}, {90, 1, 3, 3}, 90, {2, 2}, {}, {0, 0, 1, 1}},
    {"depthwise, seven by seven", {2, 33, 14, 25}, {33, 1, 7, 7}, 33, {}, {}, {3, 3, 3, 3}},
    {"depthwise, five by five in a small plane", {1, 17, 3, 2}, {17, 1, 5, 5}, 17, {}, {}, {2, 2, 2, 2}},
    {"depthwise, strided and dilated", {2, 5, 13, 12}, {5, 1, 3, 2}, 5, {2, 3}, {2, 1}, {2, 1, 0, 1}},
    {"depthwise, pads wider than the input", {1, 18, 2, 3}, {18, 1, 3, 3}, 18, {}, {}, {4, 5, 4, 5}},
    {"depthwise, lines for a team", {3, 90, 29, 31}, {90, 1, 3, 3}, 90, {}, {}, {1, 1, 1, 1}},
    {"depthwise, channels for a team", {1, 721, 7, 7}, {721, 1, 3, 3}, 721, {}, {}, {1, 1, 1, 1}},
    {"depthwise, fewer lines than a team, in three dimensions", {1, 530, 1, 1, 65}, {530, 1, 1, 1, 9}, 530, {}, {}, {0, 0, 4, 0, 0, 4}},
    {"depthwise, pairs of lines", {2, 48, 9, 25}, {48, 1, 3, 3}, 48, {}, {}, {1, 1, 1, 1}},
    {"depthwise, pairs of lines for a team", {1, 192, 14, 14}, {192, 1, 3, 3}, 192, {}, {}, {1, 1, 1, 1}},
    {"depthwise, pairs of lines, unlike pads", {1, 32, 6, 7}, {32, 1, 3, 3}, 32, {}, {}, {0, 2, 3, 1}},
    {"depthwise, pairs of lines, pads wider than the input", {1, 16, 2, 3}, {16, 1, 3, 3}, 16, {}, {}, {4, 5, 4, 5}},
    {"depthwise, pairs of lines in three dimensions", {2, 16, 3, 5, 6}, {16, 1, 1, 3, 3}, 16, {2, 1, 1}, {}, {1, 1, 1, 1, 1, 1}},
    {"depthwise, two filters a channel", {2, 3, 8, 8}, {6, 1, 5, 5}, 3, {1, 2}, {}, {2, 2, 2, 2}},
    {"depthwise, three filters a channel", {1, 21, 8, 8}, {63, 1, 3, 3}, 21, {}, {}, {1, 1, 1, 1}},
    {"pointwise", {3, 70, 5, 7}, {37, 70, 1, 1}},
    {"pointwise, many pixels", {1, 33, 40, 41}, {20, 33, 1, 1}},
    {"pointwise, strided", {2, 33, 9, 8}, {14, 33, 1, 1}, 1, {2, 2}},
    {"pointwise, padded", {1, 30, 4, 5}, {31, 30, 1, 1}, 1, {}, {}, {1, 2, 0, 1}},
    {"pointwise, groups", {2, 24, 6, 6}, {18, 8, 1, 1}, 3},
    {"deep", {1, 530, 5, 5}, {3, 530, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"deep pointwise", {1, 1300, 5, 5}, {40, 1300, 1, 1}},
    {"many filters", {1, 17, 6, 6}, {401, 17, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"large kernel", {1, 2, 30, 30}, {3, 2, 21, 20}},
    {"1-D", {2, 20, 50}, {11, 20, 5}, 1, {2}, {3}, {4, 6}},
    {"1-D, long", {1, 16, 3000}, {12, 16, 3}, 1, {}, {}, {1, 1}},
    {"1-D, depthwise", {2, 20, 50}, {20, 1, 5}, 20, {}, {}, {4, 0}},
    {"3-D", {1, 18, 5, 6, 7}, {7, 18, 3, 2, 3}, 1, {2, 1, 1}, {1, 2, 1}, {1, 0, 1, 2, 1, 0}},
    {"3-D, few channels", {2, 2, 4, 5, 6}, {3, 2, 2, 3, 3}, 1, {1, 2, 1}, {}, {0, 1, 1, 1, 1, 0}},
    {"3-D, depthwise", {2, 20, 4, 5, 6}, {20, 1, 2, 3, 3}, 20, {1, 2, 1}, {}, {0, 1, 1, 1, 1, 0}},
};

void expect_close(const std::vector<float>& actual, const std::vector<double>& expected, double terms) {
  ASSERT_EQ(actual.size(), expected.size());
  const double bound = std::numeric_limits<float>::epsilon() * (8 + 4 * std::sqrt(terms) + terms / 4);
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_TRUE(std::isfinite(actual[i])) << i;
    worst = std::max(worst, std::abs(double(actual[i]) - expected[i]) / std::max(1.0, std::abs(expected[i])));
  }
  EXPECT_LE(worst, bound);
}

struct Run {
  int threads = 1;
  Guarded::Side side = Guarded::kEnd;
  const std::vector<float>*bias = nullptr, *residual = nullptr;  // the residual stands in y
  Activation activation = {};
};

// Garbage in the output and in the workspace before.
std::vector<float> run(const ConvGeometry& g, int64_t batch, const std::vector<float>& x, const ChannelsLastFilters& w, const Run& how = {}) {
  std::vector<std::byte> workspace(conv_channels_last_workspace(g, how.threads, w.isa()) + 64, std::byte{0xff});
  void* aligned = workspace.data();
  size_t space = workspace.size();
  std::align(64, space - 64, aligned, space);
  KernelContext context;
  context.threads = how.threads;
  context.workspace = {static_cast<std::byte*>(aligned), workspace.size() - 64};
  const Shape ys = channels_last_output_shape(g, batch);
  Guarded guarded_x(x, how.side);
  guarded_x.forbid_writes();
  Guarded y(how.residual ? *how.residual : std::vector<float>(static_cast<size_t>(ys.elements()), std::nanf("")), how.side);
  ConvEpilogue epilogue;
  if (how.bias) epilogue.bias = view(*how.bias, {g.filters});
  if (how.residual) epilogue.residual = y.view(ys);
  epilogue.activation = how.activation;
  conv_channels_last(context, g, guarded_x.view(channels_last_input_shape(g, batch)), w, y.view(ys), epilogue);
  return y.values();
}

class ConvChannelsLastTiers : public testing::TestWithParam<Isa> {
  void SetUp() override {
    if (!machine_has(GetParam())) GTEST_SKIP() << "this machine lacks " << name(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(All, ConvChannelsLastTiers, testing::ValuesIn(float_tiers()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(ConvChannelsLastTiers, AllCases) {
  for (const ConvCase& c : kCases) {
    SCOPED_TRACE(c.what);
    const ConvGeometry g = geometry_of(c);
    const auto x = noise(c.x.elements(), 1), w = noise(c.w.elements(), 2);
    const ChannelsLastFilters filters = pack_filters_channels_last(g, view(w, c.w), GetParam());
    EXPECT_TRUE(filters);
    EXPECT_EQ(filters.isa(), GetParam());
    EXPECT_GE(filters.bytes(), w.size() * sizeof(float));
    const std::vector<float> one = run(g, c.x[0], x, filters);
    expect_close(one, convolved(g, c.x[0], x, w), double(c.w.elements()) / double(c.w[0]));
    for (int threads : {2, 3}) EXPECT_EQ(one, run(g, c.x[0], x, filters, {.threads = threads, .side = Guarded::kBegin}));
  }
}

TEST_P(ConvChannelsLastTiers, BiasResidualAndEveryActivation) {
  for (const ConvCase& c : kCases) {
    SCOPED_TRACE(c.what);
    const ConvGeometry g = geometry_of(c);
    const auto x = noise(c.x.elements(), 1), w = noise(c.w.elements(), 2), bias = noise(g.filters, 4);
    const auto residual = noise(channels_last_output_shape(g, c.x[0]).elements(), 5);
    const ChannelsLastFilters filters = pack_filters_channels_last(g, view(w, c.w), GetParam());
    const std::vector<double> sums = convolved(g, c.x[0], x, w);
    const double terms = double(c.w.elements()) / double(c.w[0]);
    for (const Activation& activation : tandem::test::kActivations) {
      SCOPED_TRACE(activation ? static_cast<int>(activation.function) : -1);
      std::vector<double> expected = sums;
      for (size_t i = 0; i < sums.size(); ++i)
        expected[i] = tandem::test::activated(activation, sums[i] + double(bias[i % bias.size()]) + double(residual[i]));
      expect_close(run(g, c.x[0], x, filters, {.threads = 2, .bias = &bias, .residual = &residual, .activation = activation}), expected,
                   10 + 2 * terms);
    }
    std::vector<double> expected = sums;
    for (size_t i = 0; i < sums.size(); ++i) expected[i] += double(bias[i % bias.size()]);
    expect_close(run(g, c.x[0], x, filters, {.bias = &bias}), expected, terms);
    for (size_t i = 0; i < sums.size(); ++i) expected[i] = std::max(0.0, sums[i] + double(residual[i]));
    expect_close(run(g, c.x[0], x, filters, {.residual = &residual, .activation = UnaryOp::kRelu}), expected, terms);
  }
}

// An infinite weight shows which pixels meet its tap: with the zeros around an image it would make NaN.
TEST_P(ConvChannelsLastTiers, ManyChannelsMeetNoTapOutsideTheImage) {
  constexpr int64_t kChannels = 40, kFilters = 5;
  const std::vector<int64_t> strides = {1, 1, 2}, pads = {1, 1, 2, 0, 1, 1};
  const ConvGeometry g = make_conv_geometry({2, kChannels, 3, 4, 9}, {kFilters, kChannels, 2, 3, 3}, 1, {.kernel = {}, .strides = strides, .pads = pads});
  const Window& win = g.window;
  const std::vector<float> x(static_cast<size_t>(2 * kChannels * win.input_size()), 1.0f);
  for (int64_t tap = 0; tap < win.kernel_size(); ++tap) {
    std::vector<float> w(static_cast<size_t>(g.weight_shape().elements()), 1.0f);
    for (size_t i = static_cast<size_t>(tap); i < w.size(); i += static_cast<size_t>(win.kernel_size())) w[i] = std::numeric_limits<float>::infinity();
    const std::vector<float> y = run(g, 2, x, pack_filters_channels_last(g, view(w, g.weight_shape()), GetParam()));
    const int64_t at[] = {tap / 9, tap / 3 % 3, tap % 3};
    for (size_t i = 0; i < y.size(); ++i) {
      const int64_t pixel = static_cast<int64_t>(i) / kFilters % win.output_size();
      const int64_t place[] = {pixel / (win.output[1] * win.output[2]), pixel / win.output[2] % win.output[1], pixel % win.output[2]};
      bool inside = true;
      for (size_t d = 0; d < 3; ++d) {
        const int64_t from = place[d] * win.stride[d] + at[d] - win.pad_begin[d];
        inside = inside && from >= 0 && from < win.input[d];
      }
      ASSERT_EQ(std::isinf(y[i]), inside) << "tap " << tap << ", number " << i;
      ASSERT_FALSE(std::isnan(y[i])) << "tap " << tap << ", number " << i;
    }
  }
}

TEST_P(ConvChannelsLastTiers, NotANumberStays) {
  for (const int64_t groups : {1, 4}) {
    const ConvGeometry g = make_conv_geometry({1, 4, 2, 2}, {4, 4 / groups, 1, 1}, groups, {});
    std::vector<float> x(16, 1.0f), w(static_cast<size_t>(16 / groups), 1.0f);
    x[5] = std::nanf("");
    const ChannelsLastFilters filters = pack_filters_channels_last(g, view(w, g.weight_shape()), GetParam());
    for (const Activation& activation : {Activation(), Activation(UnaryOp::kRelu), Activation(UnaryOp::kClip, {0, 6})}) {
      const std::vector<float> y = run(g, 1, x, filters, {.activation = activation});
      for (size_t i = 0; i < 16; ++i) EXPECT_EQ(std::isnan(y[i]), groups == 1 ? i / 4 == 1 : i == 5) << i;
    }
  }
}

// Over all angles, of a product and channel by channel.
TEST_P(ConvChannelsLastTiers, SwishIsWithinFourUnitsInTheLastPlace) {
  constexpr int64_t kPixels = 1000, kChannels = 37;
  for (const bool by_channels : {false, true}) {
    const int64_t channels = by_channels ? kChannels : 1;
    const ConvGeometry g = make_conv_geometry({1, channels, 1, kPixels}, {kChannels, 1, 1, 1}, channels, {});
    std::vector<float> x(static_cast<size_t>(kPixels * channels));
    for (size_t i = 0; i < x.size(); ++i) x[i] = 210.0f * (static_cast<float>(i) / static_cast<float>(x.size()) - 0.5f);
    x[0] = -std::numeric_limits<float>::max(), x[1] = std::nanf(""), x.back() = std::numeric_limits<float>::infinity();
    const std::vector<float> ones(static_cast<size_t>(kChannels), 1.0f);
    const ChannelsLastFilters filters = pack_filters_channels_last(g, view(ones, g.weight_shape()), GetParam());
    for (const float alpha : {1.0f, 0.25f, -2.0f}) {
      const std::vector<float> y = run(g, 1, x, filters, {.activation = {UnaryOp::kSwish, {alpha}}});
      for (size_t i = 0; i < y.size(); ++i) {
        const float from = x[by_channels ? i : i / static_cast<size_t>(kChannels)];
        const double of = static_cast<double>(from), expected = of / (1 + std::exp(-static_cast<double>(alpha) * of));
        if (std::isnan(from)) ASSERT_TRUE(std::isnan(y[i])) << i;
        else if (alpha * from > 200) ASSERT_EQ(y[i], from);
        else if (std::isinf(from)) continue;  // infinity times nothing
        else ASSERT_NEAR(static_cast<double>(y[i]), expected, std::max(std::abs(of) * 0x1p-125, std::abs(expected) * 4 * 0x1p-23)) << from;
      }
    }
  }
}

// What was packed for one plane serves every other, as does the workspace every smaller one; and images do not depend on their batch.
TEST_P(ConvChannelsLastTiers, OnePackingForEveryPlane) {
  for (const int64_t groups : {1, 2, 20}) {
    const std::vector<int64_t> pads = {1, 1, 1, 1};
    const auto geometry = [&](int64_t height, int64_t width) {
      return make_conv_geometry({1, 20, height, width}, {40, 20 / groups, 3, 3}, groups, {.kernel = {}, .pads = pads});
    };
    const ConvGeometry large = geometry(30, 31);
    const auto w = noise(large.weight_shape().elements(), 2);
    const ChannelsLastFilters filters = pack_filters_channels_last(large, view(w, large.weight_shape()), GetParam());
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {7, 30}, {30, 31}}) {
      const ConvGeometry g = geometry(height, width);
      EXPECT_LE(conv_channels_last_workspace(g, 2, GetParam()), conv_channels_last_workspace(large, 2, GetParam()));
      const auto x = noise(3 * height * width * 20, 1);
      const std::vector<float> y = run(g, 3, x, filters, {.threads = 2});
      expect_close(y, convolved(g, 3, x, w), 180);
      const std::vector<float> last(x.end() - height * width * 20, x.end());
      EXPECT_EQ(run(g, 1, last, filters), std::vector<float>(y.end() - height * width * 40, y.end()));
    }
  }
}

TEST(ConvChannelsLast, EmptyBatch) {
  for (const int64_t groups : {1, 4}) {
    const ConvGeometry g = make_conv_geometry({4, 4, 5, 5}, {4, 4 / groups, 3, 3}, groups, {});
    const auto w = noise(g.weight_shape().elements(), 1);
    EXPECT_TRUE(run(g, 0, {}, pack_filters_channels_last(g, view(w, g.weight_shape())), {.threads = 2}).empty());
  }
}

TEST(ConvChannelsLast, RefusesWhatDoesNotFit) {
  const ConvGeometry g = make_conv_geometry({1, 3, 5, 6}, {2, 3, 3, 3}, 1, {});
  const std::vector<float> w(54), x(90), y(24), bias(3);
  EXPECT_THROW(pack_filters_channels_last(g, view(w, {3, 2, 3, 3})), Error);
  const ChannelsLastFilters filters = pack_filters_channels_last(g, view(w, {2, 3, 3, 3}));
  std::vector<std::byte> workspace(conv_channels_last_workspace(g, 1));
  KernelContext context;
  context.workspace = workspace;
  std::vector<float> out(24);
  const auto call = [&](const Shape& xs, const Shape& ys, const ConvEpilogue& epilogue) {
    conv_channels_last(context, g, view(x, xs), filters, {reinterpret_cast<std::byte*>(out.data()), DType::kF32, ys}, epilogue);
  };
  call({1, 5, 6, 3}, {1, 3, 4, 2}, {});
  EXPECT_THROW(call({1, 3, 5, 6}, {1, 3, 4, 2}, {}), Error);
  EXPECT_THROW(call({1, 5, 6, 3}, {1, 2, 3, 4}, {}), Error);
  EXPECT_THROW(call({1, 5, 6, 3}, {1, 3, 4, 2}, {.bias = view(bias, {3})}), Error);
  EXPECT_THROW(call({1, 5, 6, 3}, {1, 3, 4, 2}, {.residual = view(y, {1, 2, 3, 4})}), Error);
}

}  // namespace
}  // namespace tandem::cpu
