// Winograd convolution against seven nested loops in double, for every tier and both tiles: the error in L2 that docs/design/winograd.md promises.
#include "kernels/api/conv_winograd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "tests/kernels/activations.h"
#include "tests/kernels/channels_last_reference.h"
#include "tests/kernels/float_tiers.h"

namespace tandem::cpu {
namespace {

using namespace test;

// |actual - expected| / |expected|.
double relative_l2(const std::vector<float>& actual, const std::vector<double>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += (double(actual[i]) - expected[i]) * (double(actual[i]) - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(error / size);
}

const std::vector<int64_t> kPadded = {1, 1, 1, 1};
const ConvCase kCases[] = {
    {"padded", {2, 64, 11, 13}, {70, 64, 3, 3}, 1, {}, {}, kPadded},
    {"whole tiles", {1, 32, 16, 8}, {32, 32, 3, 3}, 1, {}, {}, kPadded},
    {"unpadded", {1, 16, 10, 9}, {16, 16, 3, 3}},
    {"one pixel", {1, 5, 1, 1}, {3, 5, 3, 3}, 1, {}, {}, kPadded},
    {"one output", {2, 7, 3, 3}, {9, 7, 3, 3}},
    {"one channel, one filter", {1, 1, 9, 10}, {1, 1, 3, 3}, 1, {}, {}, kPadded},
    {"asymmetric pads", {2, 20, 7, 9}, {13, 20, 3, 3}, 1, {}, {}, {0, 2, 3, 1}},
    {"pads wider than the input", {1, 17, 2, 3}, {3, 17, 3, 3}, 1, {}, {}, {4, 5, 4, 5}},
    {"several rounds", {3, 40, 40, 41}, {33, 40, 3, 3}, 1, {}, {}, kPadded},
    {"weights that are far", {1, 150, 9, 9}, {131, 150, 3, 3}, 1, {}, {}, kPadded},
    {"deep", {1, 530, 5, 5}, {3, 530, 3, 3}, 1, {}, {}, kPadded},
};

struct Run {
  int threads = 1;
  Guarded::Side side = Guarded::kEnd;
  const std::vector<float>*bias = nullptr, *residual = nullptr;  // the residual stands in y
  Activation activation = {};
};

// Garbage in the output and in the workspace before.
std::vector<float> run(const ConvGeometry& g, int64_t batch, const std::vector<float>& x, const WinogradFilters& w, const Run& how = {}) {
  std::vector<std::byte> workspace(conv_winograd_workspace(g, w.tiles(), how.threads, w.isa()) + 64, std::byte{0xff});
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
  conv_winograd(context, g, guarded_x.view(channels_last_input_shape(g, batch)), w, y.view(ys), epilogue);
  return y.values();
}

class WinogradTiers : public testing::TestWithParam<std::tuple<Isa, WinogradTiles>> {
 protected:
  Isa isa() const { return std::get<0>(GetParam()); }
  WinogradTiles tiles() const { return std::get<1>(GetParam()); }
  // What direct sums of 530 channels in one chain of additions lose, and three times that.
  double bound() const { return tiles() == WinogradTiles::kTwo ? 8e-7 : 2.5e-6; }

 private:
  void SetUp() override {
    if (!machine_has(isa())) GTEST_SKIP() << "this machine lacks " << name(isa());
  }
};
INSTANTIATE_TEST_SUITE_P(All, WinogradTiers,
                         testing::Combine(testing::ValuesIn(float_tiers()),
                                          testing::Values(WinogradTiles::kTwo, WinogradTiles::kFour)),
                         [](const auto& info) {
                           return std::string(name(std::get<0>(info.param))) + (std::get<1>(info.param) == WinogradTiles::kTwo ? "_2" : "_4");
                         });

TEST_P(WinogradTiers, AllCasesForAnyThreads) {
  for (const ConvCase& c : kCases) {
    SCOPED_TRACE(c.what);
    const ConvGeometry g = geometry_of(c);
    ASSERT_TRUE(has_winograd_form(g));
    const auto x = noise(c.x.elements(), 1), w = noise(c.w.elements(), 2);
    const WinogradFilters filters = pack_winograd_filters(g, view(w, c.w), tiles(), isa());
    EXPECT_EQ(filters.isa(), isa());
    const std::vector<float> one = run(g, c.x[0], x, filters);
    EXPECT_LE(relative_l2(one, convolved(g, c.x[0], x, w)), bound());
    for (int threads : {2, 3}) EXPECT_EQ(one, run(g, c.x[0], x, filters, {.threads = threads, .side = Guarded::kBegin}));
  }
}

TEST_P(WinogradTiers, BiasResidualAndEveryActivation) {
  for (const ConvCase& c : {kCases[0], kCases[3], kCases[6]}) {
    SCOPED_TRACE(c.what);
    const ConvGeometry g = geometry_of(c);
    const auto x = noise(c.x.elements(), 1), w = noise(c.w.elements(), 2), bias = noise(g.filters, 4);
    const auto residual = noise(channels_last_output_shape(g, c.x[0]).elements(), 5);
    const WinogradFilters filters = pack_winograd_filters(g, view(w, c.w), tiles(), isa());
    const std::vector<double> sums = convolved(g, c.x[0], x, w);
    for (const Activation& activation : tandem::test::kActivations) {
      SCOPED_TRACE(activation ? static_cast<int>(activation.function) : -1);
      std::vector<double> expected = sums;
      for (size_t i = 0; i < sums.size(); ++i)
        expected[i] = tandem::test::activated(activation, sums[i] + double(bias[i % bias.size()]) + double(residual[i]));
      const auto actual = run(g, c.x[0], x, filters, {.threads = 2, .bias = &bias, .residual = &residual, .activation = activation});
      EXPECT_LE(relative_l2(actual, expected), 2 * bound());
    }
    std::vector<double> expected = sums;
    for (size_t i = 0; i < sums.size(); ++i) expected[i] += double(bias[i % bias.size()]);
    EXPECT_LE(relative_l2(run(g, c.x[0], x, filters, {.bias = &bias}), expected), bound());
    for (size_t i = 0; i < sums.size(); ++i) expected[i] = std::max(0.0, sums[i] + double(residual[i]));
    EXPECT_LE(relative_l2(run(g, c.x[0], x, filters, {.residual = &residual, .activation = UnaryOp::kRelu}), expected), bound());
  }
}

// What was packed for one plane serves every other, as does the workspace; and images do not depend on their batch.
TEST_P(WinogradTiers, OnePackingForEveryPlaneAndBatch) {
  const auto geometry = [&](int64_t height, int64_t width) {
    return make_conv_geometry({1, 20, height, width}, {40, 20, 3, 3}, 1, {.kernel = {}, .pads = kPadded});
  };
  const ConvGeometry large = geometry(30, 31);
  const auto w = noise(large.weight_shape().elements(), 2);
  const WinogradFilters filters = pack_winograd_filters(large, view(w, large.weight_shape()), tiles(), isa());
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {7, 30}, {30, 31}}) {
    const ConvGeometry g = geometry(height, width);
    EXPECT_LE(conv_winograd_workspace(g, tiles(), 2, isa()), conv_winograd_workspace(large, tiles(), 2, isa()));
    const auto x = noise(3 * height * width * 20, 1);
    const std::vector<float> y = run(g, 3, x, filters, {.threads = 2});
    EXPECT_LE(relative_l2(y, convolved(g, 3, x, w)), bound());
    const std::vector<float> last(x.end() - height * width * 20, x.end());
    EXPECT_EQ(run(g, 1, last, filters), std::vector<float>(y.end() - height * width * 40, y.end()));
  }
}

// Of a NaN: in the outputs of its own tile, and nowhere where no tile reads it.
TEST_P(WinogradTiers, NotANumberSpreadsOverItsTilesOnly) {
  const ConvGeometry g = make_conv_geometry({1, 4, 24, 24}, {4, 4, 3, 3}, 1, {.kernel = {}, .pads = kPadded});
  std::vector<float> x(24 * 24 * 4, 1.0f), w(4 * 4 * 9, 1.0f);
  x[(1 * 24 + 1) * 4] = std::nanf("");
  for (const Activation& activation : {Activation(), Activation(UnaryOp::kRelu), Activation(UnaryOp::kClip, {0, 6})}) {
    const std::vector<float> y = run(g, 1, x, pack_winograd_filters(g, view(w, g.weight_shape()), tiles(), isa()), {.activation = activation});
    for (int64_t pixel = 0; pixel < 24 * 24; ++pixel) {
      const bool near = pixel / 24 <= 2 && pixel % 24 <= 2, far = pixel / 24 > 4 || pixel % 24 > 4;
      if (near) { EXPECT_TRUE(std::isnan(y[static_cast<size_t>(pixel * 4)])) << pixel; }
      if (far) { EXPECT_FALSE(std::isnan(y[static_cast<size_t>(pixel * 4)])) << pixel; }
    }
  }
}

TEST(Winograd, EmptyBatch) {
  const ConvGeometry g = make_conv_geometry({4, 4, 5, 5}, {4, 4, 3, 3}, 1, {});
  const auto w = noise(g.weight_shape().elements(), 1);
  EXPECT_TRUE(run(g, 0, {}, pack_winograd_filters(g, view(w, g.weight_shape()), WinogradTiles::kFour), {.threads = 2}).empty());
}

TEST(Winograd, OnlyThreeByThreeAtStrideOne) {
  const auto has_form = [](const Shape& x, const Shape& w, int64_t groups, std::vector<int64_t> strides, std::vector<int64_t> dilations) {
    const ConvGeometry g = make_conv_geometry(x, w, groups, {.kernel = {}, .strides = strides, .dilations = dilations});
    const auto weights = noise(w.elements(), 1);
    if (!has_winograd_form(g)) { EXPECT_THROW(pack_winograd_filters(g, view(weights, w), WinogradTiles::kTwo), Error); }
    return has_winograd_form(g);
  };
  EXPECT_TRUE(has_form({1, 4, 9, 9}, {4, 4, 3, 3}, 1, {}, {}));
  EXPECT_FALSE(has_form({1, 4, 9, 9}, {4, 4, 3, 3}, 1, {1, 2}, {}));
  EXPECT_FALSE(has_form({1, 4, 9, 9}, {4, 4, 3, 3}, 1, {}, {2, 1}));
  EXPECT_FALSE(has_form({1, 4, 9, 9}, {4, 2, 3, 3}, 2, {}, {}));
  EXPECT_FALSE(has_form({1, 4, 9, 9}, {4, 4, 3, 5}, 1, {}, {}));
  EXPECT_FALSE(has_form({1, 4, 9}, {4, 4, 3}, 1, {}, {}));
  EXPECT_FALSE(has_form({1, 4, 5, 9, 9}, {4, 4, 1, 3, 3}, 1, {}, {}));
}

TEST(Winograd, TilesGrowWithTheImageAndFewPixelsStayDirect) {
  EXPECT_EQ(fastest_winograd_tiles({1, 56, 56, 64, 64}), WinogradTiles::kFour);
  EXPECT_EQ(fastest_winograd_tiles({8, 28, 28, 128, 128}), WinogradTiles::kFour);
  EXPECT_EQ(fastest_winograd_tiles({1, 1, 1, 512, 512}), std::nullopt);
  EXPECT_EQ(fastest_winograd_tiles({1, 56, 56, 3, 4}), std::nullopt);
}

}  // namespace
}  // namespace tandem::cpu
