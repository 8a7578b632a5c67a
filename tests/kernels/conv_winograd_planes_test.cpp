// Winograd convolution of planes and its two gradients against the definition in double, for every tier and both tiles: the error in L2 that
// docs/design/winograd.md promises. Operands, results and workspaces end at an unmapped page.
#include "kernels/api/conv_winograd_planes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "tests/kernels/conv_definition.h"
#include "tests/kernels/float_tiers.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded, test::GuardedMemory, test::for_each_product;

struct Case {
  const char* what;
  Shape x, w;
  std::vector<int64_t> pads = {1, 1, 1, 1};
};

const Case kCases[] = {
    {"whole tiles", {2, 16, 8, 16}, {16, 16, 3, 3}},
    {"odd channels and planes", {9, 17, 7, 5}, {21, 17, 3, 3}},
    {"unpadded", {2, 16, 10, 9}, {16, 16, 3, 3}, {}},
    {"one pixel", {3, 5, 1, 1}, {3, 5, 3, 3}},
    {"one output", {5, 7, 3, 3}, {9, 7, 3, 3}, {}},
    {"one channel, one filter", {1, 1, 9, 10}, {1, 1, 3, 3}},
    {"asymmetric pads", {2, 20, 7, 9}, {13, 20, 3, 3}, {0, 2, 2, 1}},
    {"small planes, many images", {67, 12, 4, 4}, {19, 12, 3, 3}},
    {"more tiles than a round has", {2, 3, 66, 70}, {2, 3, 3, 3}},
    {"many images of a tile", {300, 6, 2, 3}, {4, 6, 3, 3}},
    {"several panels", {1, 70, 6, 6}, {131, 70, 3, 3}},
    {"deep", {1, 530, 5, 5}, {3, 530, 3, 3}},
    {"many filters", {1, 3, 5, 5}, {530, 3, 3, 3}},
};

ConvGeometry geometry_of(const Shape& x, const Shape& w, const std::vector<int64_t>& pads) {
  return make_conv_geometry(x, w, 1, {.kernel = {}, .pads = pads});
}

enum class Direction : uint8_t { kForward, kInputGrad, kWeightGrad };
constexpr Direction kDirections[] = {Direction::kForward, Direction::kInputGrad, Direction::kWeightGrad};

struct Problem {
  ConvGeometry g;
  int64_t batch;
  Shape xs, ws, ys;
  Guarded<float> x, w, dy, bias;

  explicit Problem(const Case& c)
      : g(geometry_of(c.x, c.w, c.pads)), batch(c.x[0]), xs(c.x), ws(c.w), ys(g.output_shape(batch)), x(Guarded<float>::random(xs.elements(), 1)),
        w(Guarded<float>::random(ws.elements(), 2)), dy(Guarded<float>::random(ys.elements(), 3)), bias(Guarded<float>::random(g.filters, 4)) {}

  static ConstTensorView view(const Guarded<float>& v, const Shape& s) { return {reinterpret_cast<const std::byte*>(v.data()), DType::kF32, s}; }
  static TensorView result(const Guarded<float>& v, const Shape& s) { return {reinterpret_cast<std::byte*>(v.data()), DType::kF32, s}; }
  const Shape& shape(Direction d) const { return d == Direction::kForward ? ys : d == Direction::kInputGrad ? xs : ws; }

  // In a workspace that is full of NaN and ends at the guard; it may be that of a larger geometry.
  std::vector<float> run(Direction d, WinogradTiles tiles, int threads, Isa isa, const ConvWorkspace& sizes, const ConvEpilogue& epilogue = {}) const {
    const Guarded<float> to(shape(d).elements(), -99);
    const GuardedMemory workspace(round_up(d == Direction::kForward ? sizes.forward : d == Direction::kInputGrad ? sizes.input_grad : sizes.weight_grad));
    std::fill(workspace.bytes().begin(), workspace.bytes().end(), std::byte{0xff});
    const KernelContext context{.threads = threads, .workspace = workspace.bytes()};
    if (d == Direction::kForward) winograd_planes_conv(context, g, view(x, xs), view(w, ws), result(to, ys), tiles, epilogue, isa);
    if (d == Direction::kInputGrad) winograd_planes_input_grad(context, g, view(w, ws), view(dy, ys), result(to, xs), tiles, isa);
    if (d == Direction::kWeightGrad) winograd_planes_weight_grad(context, g, view(x, xs), view(dy, ys), result(to, ws), tiles, isa);
    return {to.data(), to.data() + to.size()};
  }
  std::vector<float> run(Direction d, WinogradTiles tiles, int threads, Isa isa) const {
    return run(d, tiles, threads, isa, winograd_planes_workspace(g, tiles, threads, isa));
  }
  std::vector<double> definition(Direction d) const {
    std::vector<double> sums(static_cast<size_t>(shape(d).elements()));
    for_each_product(g, batch, [&](size_t xi, size_t wi, size_t yi) {
      const auto at = [](const Guarded<float>& v, size_t i) { return static_cast<double>(v.data()[i]); };
      if (d == Direction::kForward) sums[yi] += at(x, xi) * at(w, wi);
      if (d == Direction::kInputGrad) sums[xi] += at(dy, yi) * at(w, wi);
      if (d == Direction::kWeightGrad) sums[wi] += at(dy, yi) * at(x, xi);
    });
    return sums;
  }

 private:
  static size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }
};

struct Expected {
  Problem problem;
  std::vector<double> of[3];  // by direction

  explicit Expected(const Case& c) : problem(c) {
    for (const Direction d : kDirections) of[static_cast<size_t>(d)] = problem.definition(d);
  }
};

// Made once for all tiers.
const std::vector<std::unique_ptr<Expected>>& all_expected() {
  static const auto all = [] {
    std::vector<std::unique_ptr<Expected>> made;
    for (const Case& c : kCases) made.push_back(std::make_unique<Expected>(c));
    return made;
  }();
  return all;
}

// |actual - expected| / |expected|.
double relative_l2(const std::vector<float>& actual, const std::vector<double>& expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += (double(actual[i]) - expected[i]) * (double(actual[i]) - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(error / size);
}

class WinogradPlanes : public testing::TestWithParam<std::tuple<Isa, WinogradTiles>> {
 protected:
  Isa isa() const { return std::get<0>(GetParam()); }
  WinogradTiles tiles() const { return std::get<1>(GetParam()); }
  double bound() const { return tiles() == WinogradTiles::kTwo ? 8e-7 : 2.5e-6; }  // those of conv_winograd_test.cpp

 private:
  void SetUp() override {
    if (!machine_has(isa())) GTEST_SKIP() << "this machine lacks " << name(isa());
  }
};
INSTANTIATE_TEST_SUITE_P(All, WinogradPlanes,
                         testing::Combine(testing::ValuesIn(float_tiers()), testing::Values(WinogradTiles::kTwo, WinogradTiles::kFour)),
                         [](const auto& info) {
                           return std::string(name(std::get<0>(info.param))) + (std::get<1>(info.param) == WinogradTiles::kTwo ? "_2" : "_4");
                         });

TEST_P(WinogradPlanes, EveryDirectionForAnyThreads) {
  for (size_t i = 0; i < all_expected().size(); ++i) {
    const Expected& expected = *all_expected()[i];
    const Problem& problem = expected.problem;
    for (const Direction d : kDirections) {
      SCOPED_TRACE(testing::Message() << kCases[i].what << ' ' << int(d));
      const std::vector<float> one = problem.run(d, tiles(), 1, isa());
      EXPECT_LE(relative_l2(one, expected.of[static_cast<size_t>(d)]), bound());
      for (int threads : {2, 3}) EXPECT_EQ(one, problem.run(d, tiles(), threads, isa()));
    }
  }
}

TEST_P(WinogradPlanes, BiasAndActivation) {
  const Problem p(kCases[1]);
  std::vector<double> expected = p.definition(Direction::kForward);
  const int64_t pixels = p.g.window.output_size();
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] = std::max(0.0, expected[i] + static_cast<double>(p.bias[static_cast<int64_t>(i) / pixels % p.g.filters]));
  const ConvEpilogue epilogue = {.bias = Problem::view(p.bias, {p.g.filters}), .activation = {UnaryOp::kRelu}};
  const std::vector<float> y = p.run(Direction::kForward, tiles(), 2, isa(), winograd_planes_workspace(p.g, tiles(), 2, isa()), epilogue);
  EXPECT_LE(relative_l2(y, expected), bound());
}

TEST_P(WinogradPlanes, WorkspaceOfALargePlaneHoldsSmallerOnes) {
  for (int64_t size = 1; size < 70; ++size) {
    const auto sizes = [&](int64_t n) { return winograd_planes_workspace(geometry_of({1, 20, n, n}, {24, 20, 3, 3}, {1, 1, 1, 1}), tiles(), 2, isa()); };
    const ConvWorkspace small = sizes(size), large = sizes(size + 1);
    EXPECT_LE(small.forward, large.forward) << size;
    EXPECT_LE(small.input_grad, large.input_grad) << size;
    EXPECT_LE(small.weight_grad, large.weight_grad) << size;
  }
}

TEST_P(WinogradPlanes, NoImagesHaveNoGradient) {
  const Problem p({"none", {0, 4, 5, 5}, {6, 4, 3, 3}});
  for (const float dw : p.run(Direction::kWeightGrad, tiles(), 2, isa())) EXPECT_EQ(dw, 0);
  EXPECT_TRUE(p.run(Direction::kForward, tiles(), 2, isa()).empty());
  EXPECT_TRUE(p.run(Direction::kInputGrad, tiles(), 2, isa()).empty());
}

TEST(WinogradPlanes, GroupsStridesWidePadsDoublesAndSmallWorkspacesAreErrors) {
  const Problem p(kCases[1]);
  const Guarded<float> y(p.ys.elements()), dx(p.xs.elements()), dw(p.ws.elements());
  std::vector<std::byte> workspace(1 << 24);
  const auto run = [&](const ConvGeometry& g, DType dtype, std::span<std::byte> memory) {
    const KernelContext context{.workspace = memory};
    const ConstTensorView x{Problem::view(p.x, p.xs).data, dtype, p.xs}, dy{Problem::view(p.dy, p.ys).data, dtype, p.ys};
    const auto throws = [](auto&& call) {
      try {
        call();
      } catch (const Error&) {
        return 1;
      }
      return 0;
    };
    return throws([&] { winograd_planes_conv(context, g, x, Problem::view(p.w, p.ws), Problem::result(y, p.ys), WinogradTiles::kFour); }) +
           throws([&] { winograd_planes_input_grad(context, g, Problem::view(p.w, p.ws), dy, Problem::result(dx, p.xs), WinogradTiles::kFour); }) +
           throws([&] { winograd_planes_weight_grad(context, g, x, dy, Problem::result(dw, p.ws), WinogradTiles::kFour); });
  };
  EXPECT_EQ(run(p.g, DType::kF32, workspace), 0);
  EXPECT_EQ(run(p.g, DType::kF32, std::span(workspace).first(64)), 3);
  EXPECT_EQ(run(p.g, DType::kF64, workspace), 3);
  ConvGeometry strided = p.g;
  strided.window.stride[2] = 2;
  EXPECT_EQ(run(strided, DType::kF32, workspace), 3);
  ConvGeometry grouped = p.g;
  grouped.groups = 17;
  EXPECT_EQ(run(grouped, DType::kF32, workspace), 3);
  const Problem wide({"pads wider than the kernel", {1, 17, 2, 3}, {3, 17, 3, 3}, {4, 5, 4, 5}});
  EXPECT_THROW(wide.run(Direction::kInputGrad, WinogradTiles::kFour, 1, chosen_isa()), Error);
  for (const Direction d : {Direction::kForward, Direction::kWeightGrad})
    EXPECT_LE(relative_l2(wide.run(d, WinogradTiles::kFour, 2, chosen_isa()), wide.definition(d)), 2.5e-6);
}

TEST(WinogradPlanes, TilesGrowWithTheBatchAndFewPixelsStayDirect) {
  for (const auto fastest : {fastest_winograd_planes_tiles, fastest_winograd_weight_grad_tiles}) {
    EXPECT_EQ(fastest({64, 32, 32, 64, 64}, 1), WinogradTiles::kFour);
    EXPECT_EQ(fastest({64, 4, 4, 512, 512}, 1), WinogradTiles::kFour);
    EXPECT_EQ(fastest({16, 4, 4, 512, 512}, 1), WinogradTiles::kTwo);
    EXPECT_EQ(fastest({1, 1, 1, 512, 512}, 1), std::nullopt);
    EXPECT_EQ(fastest({64, 32, 32, 3, 64}, 1), std::nullopt);
    EXPECT_EQ(fastest({1, 512, 512, 64, 64}, 1), std::nullopt);  // too large to be turned
    EXPECT_EQ(fastest({64, 32, 32, 64, 64}, 0.6), WinogradTiles::kFour);
    EXPECT_EQ(fastest({64, 32, 32, 64, 64}, 0.2), std::nullopt);  // beside tiles of AMX
    EXPECT_TRUE(fastest({64, 32, 32, 12, 12}, 1));
    EXPECT_EQ(fastest({64, 32, 32, 12, 12}, 0.6), std::nullopt);
  }
}

}  // namespace
}  // namespace tandem::cpu
