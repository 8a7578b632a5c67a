// Chains of convolutions: the bits of the convolutions one by one, and nested loops in double, for every tier; operands and the
// workspace end where the memory does.
#include "kernels/api/conv_chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/kernels/channels_last_reference.h"
#include "tests/kernels/float_tiers.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using namespace test;
using tandem::test::GuardedMemory;

struct ChainCase {
  const char* what;
  int64_t batch, channels, expanded, filters;  // expanded or filters 0: that convolution is missing
  int64_t height, width, kernel = 3;
  std::vector<int64_t> strides = {1, 1}, dilations = {1, 1}, pads = {1, 1, 1, 1};
};

// Planes that go in several bands, where nothing else is said.
const ChainCase kCases[] = {
    {"all three", 2, 3, 40, 9, 90, 70},
    {"stride", 1, 5, 48, 17, 91, 75, 3, {2, 2}, {1, 1}, {0, 1, 1, 0}},
    {"five by five, dilated", 1, 4, 33, 8, 97, 80, 5, {1, 1}, {3, 1}, {6, 2, 5, 2}},
    {"strides that leave lines out", 1, 3, 40, 6, 120, 90, 2, {5, 3}, {1, 1}, {0, 0, 0, 0}},
    {"without expand", 2, 40, 0, 7, 90, 70},
    {"without project", 2, 3, 40, 0, 90, 70},
    {"long lines", 1, 2, 18, 5, 6, 9000},
    {"lines longer than a band", 1, 2, 70, 3, 3, 3000},
    {"many lines", 1, 2, 64, 5, 2500, 3},
    {"pads wider than the plane", 1, 2, 35, 5, 3, 4, 3, {1, 1}, {1, 1}, {5, 4, 6, 5}},
    {"an image and a half each", 3, 4, 64, 8, 31, 40},
    {"more threads than lines", 1, 4, 70, 9, 2, 600},
    {"in one band", 3, 6, 36, 6, 14, 14},
    {"one pixel", 1, 1, 1, 1, 1, 1},
};

// A case with operands that all runs of it share.
struct Operands {
  ConvChain chain;
  Shape x_shape, y_shape;
  std::vector<float> x, expand_w, expand_b, w, b, project_w, project_b, residual;
  int64_t batch;

  explicit Operands(const ChainCase& c) : batch(c.batch) {
    Shape at{c.batch, c.channels, c.height, c.width};
    const int64_t middle = c.expanded ? c.expanded : c.channels;
    if (c.expanded) chain.expand = make_conv_geometry(at, {c.expanded, c.channels, 1, 1}, 1, {});
    at = {c.batch, middle, c.height, c.width};
    chain.depthwise = make_conv_geometry(at, {middle, 1, c.kernel, c.kernel}, middle,
                                         {.kernel = {}, .strides = c.strides, .dilations = c.dilations, .pads = c.pads});
    if (c.filters) chain.project = make_conv_geometry(chain.depthwise.output_shape(c.batch), {c.filters, middle, 1, 1}, 1, {});
    x_shape = channels_last_input_shape(chain.expand ? *chain.expand : chain.depthwise, c.batch);
    y_shape = channels_last_output_shape(chain.project ? *chain.project : chain.depthwise, c.batch);
    x = noise(x_shape.elements(), 1);
    expand_w = noise(c.expanded * c.channels, 2), expand_b = noise(c.expanded, 3);
    w = noise(middle * c.kernel * c.kernel, 4), b = noise(middle, 5);
    project_w = noise(c.filters * middle, 6), project_b = noise(c.filters, 7);
    if (c.filters) residual = noise(y_shape.elements(), 8);
  }

  ConvChainStages stages(Isa isa) const {
    ConvChainStages s;
    const auto packed = [&](const ConvGeometry& g, const std::vector<float>& weights) {
      return pack_filters_channels_last(g, view(weights, g.weight_shape()), isa);
    };
    if (chain.expand)
      s.expand = {packed(*chain.expand, expand_w), view(expand_b, {chain.expand->filters}), {UnaryOp::kClip, {0, 6}}};
    s.depthwise = {packed(chain.depthwise, w), view(b, {chain.depthwise.filters}), {UnaryOp::kHardSwish}};
    if (chain.project)
      s.project = {packed(*chain.project, project_w), view(project_b, {chain.project->filters}), {UnaryOp::kRelu}};
    return s;
  }
};

// The residual stands in y.
std::vector<float> run_chain(const Operands& o, Isa isa, int threads) {
  GuardedMemory workspace(conv_chain_workspace(o.chain, threads, isa));
  std::ranges::fill(workspace.bytes(), std::byte{0xff});
  Guarded x(o.x, Guarded::kEnd),
      y(o.residual.empty() ? std::vector<float>(static_cast<size_t>(o.y_shape.elements()), std::nanf("")) : o.residual,
        Guarded::kEnd);
  x.forbid_writes();
  ConvChainStages stages = o.stages(isa);
  if (!o.residual.empty()) stages.residual = y.view(o.y_shape);
  KernelContext context;
  context.threads = threads;
  context.workspace = workspace.bytes();
  conv_chain(context, o.chain, x.view(o.x_shape), stages, y.view(o.y_shape));
  return y.values();
}

std::vector<float> run_one(const ConvGeometry& g, int64_t batch, const std::vector<float>& x, const ConvChainStage& stage,
                           const std::vector<float>* residual) {
  const Shape shape = channels_last_output_shape(g, batch);
  std::vector<float> y(static_cast<size_t>(shape.elements()));
  GuardedMemory workspace(conv_channels_last_workspace(g, 1, stage.filters.isa()));
  KernelContext context;
  context.workspace = workspace.bytes();
  const ConvEpilogue epilogue = {
      .bias = stage.bias, .residual = residual ? view(*residual, shape) : ConstTensorView{}, .activation = stage.activation};
  conv_channels_last(context, g, view(x, channels_last_input_shape(g, batch)), stage.filters,
                     {reinterpret_cast<std::byte*>(y.data()), DType::kF32, shape}, epilogue);
  return y;
}

std::vector<float> one_by_one(const Operands& o, Isa isa) {
  const ConvChainStages s = o.stages(isa);
  std::vector<float> at = o.x;
  if (o.chain.expand) at = run_one(*o.chain.expand, o.batch, at, s.expand, nullptr);
  at = run_one(o.chain.depthwise, o.batch, at, s.depthwise, nullptr);
  return o.chain.project ? run_one(*o.chain.project, o.batch, at, s.project, &o.residual) : at;
}

// Nested loops, rounded to f32 between the stages.
std::vector<float> by_definition(const Operands& o) {
  const auto stage = [&](const ConvGeometry& g, const std::vector<float>& x, const std::vector<float>& w,
                         const std::vector<float>& bias, auto&& finish) {
    const std::vector<double> sums = convolved(g, o.batch, x, w);
    std::vector<float> y(sums.size());
    for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(finish(sums[i] + double(bias[i % bias.size()]), i));
    return y;
  };
  std::vector<float> at = o.x;
  if (o.chain.expand)
    at = stage(*o.chain.expand, at, o.expand_w, o.expand_b, [](double s, size_t) { return std::clamp(s, 0.0, 6.0); });
  at = stage(o.chain.depthwise, at, o.w, o.b, [](double s, size_t) { return s * std::clamp(s / 6 + 0.5, 0.0, 1.0); });
  if (!o.chain.project) return at;
  return stage(*o.chain.project, at, o.project_w, o.project_b,
               [&](double s, size_t i) { return std::max(0.0, s + double(o.residual[i])); });
}

class ConvChainTiers : public testing::TestWithParam<Isa> {
  void SetUp() override {
    if (!machine_has(GetParam())) GTEST_SKIP() << "this machine lacks " << name(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(All, ConvChainTiers, testing::ValuesIn(float_tiers()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(ConvChainTiers, HasTheBitsOfTheConvolutionsOneByOne) {
  for (const ChainCase& c : kCases) {
    SCOPED_TRACE(c.what);
    const Operands o(c);
    const std::vector<float> expected = one_by_one(o, GetParam());
    for (const int threads : {1, 2, 3}) EXPECT_EQ(run_chain(o, GetParam(), threads), expected) << threads;
  }
}

TEST_P(ConvChainTiers, ComputesTheDefinition) {
  for (const ChainCase& c : kCases) {
    SCOPED_TRACE(c.what);
    const Operands o(c);
    const std::vector<float> actual = run_chain(o, GetParam(), 1), expected = by_definition(o);
    ASSERT_EQ(actual.size(), expected.size());
    float worst = 0;
    for (size_t i = 0; i < actual.size(); ++i)
      worst = std::max(worst, std::abs(actual[i] - expected[i]) / std::max(1.0f, std::abs(expected[i])));
    EXPECT_LT(worst, 2e-5f);
  }
}

// A plan's workspace serves planes smaller than its own, of any form.
TEST(ConvChain, WorkspaceServesSmallerPlanes) {
  ChainCase c{"", 1, 3, 40, 9, 100, 100};
  const size_t planned = conv_chain_workspace(Operands(c).chain, 2);
  for (c.height = 1; c.height <= 100; c.height += 11)
    for (c.width = 1; c.width <= 100; c.width += 11)
      EXPECT_LE(conv_chain_workspace(Operands(c).chain, 2), planned) << c.height << " x " << c.width;
}

// Far less than what lies between the convolutions.
TEST(ConvChain, KeepsABandOfALargeImage) {
  const Operands o({"", 1, 3, 96, 24, 224, 224});
  EXPECT_LT(conv_chain_workspace(o.chain, 1), size_t{224 * 224 * 96} * sizeof(float) / 10);
  EXPECT_TRUE(conv_chain_pays(o.chain, 1, 1));
  EXPECT_FALSE(conv_chain_pays(Operands({"", 1, 3, 96, 24, 14, 14}).chain, 1, 1));
}

// Two lines of 3 x 3 windows are made again by each of two threads, of 224 lines or of 7.
TEST(ConvChain, PaysWhereThreadsHaveManyLines) {
  const Operands o({"", 1, 3, 96, 24, 224, 224});
  EXPECT_TRUE(conv_chain_pays(o.chain, 1, 2));
  EXPECT_FALSE(conv_chain_pays(o.chain, 1, 32));
  EXPECT_TRUE(conv_chain_pays(o.chain, 8, 32));
  ConvChain unexpanded = o.chain;  // nothing is made twice
  unexpanded.expand.reset();
  EXPECT_TRUE(conv_chain_pays(unexpanded, 1, 32));
}

TEST(ConvChain, NoImagesAreNoWork) {
  const Operands o({"", 0, 3, 8, 4, 5, 5});
  EXPECT_TRUE(run_chain(o, chosen_isa(), 1).empty());
}

}  // namespace
}  // namespace tandem::cpu
