// Convolutions of f32 operands that are rounded to bf16 as they are packed, and their gradients, on every tier of this machine, beside sums in double
// of rounded operands; operands, results and workspaces end at an unmapped page.
#include "kernels/api/rounded_conv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/api/bf16_gemm.h"
#include "kernels/base/half.h"
#include "tests/kernels/conv_definition.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded, test::GuardedMemory, test::for_each_product;

double rounded(float x) { return static_cast<double>(to_float(to_bf16(x))); }

struct Case {
  const char* what;
  Shape x, w;
  std::vector<int64_t> strides = {}, dilations = {}, pads = {};
};

const Case kCases[] = {
    {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"first layer", {3, 3, 20, 20}, {32, 3, 3, 3}, {}, {}, {1, 1, 1, 1}},
    {"odd channels and planes", {9, 17, 7, 7}, {21, 17, 3, 3}, {}, {}, {1, 1, 1, 1}},
    {"small planes", {37, 64, 4, 4}, {64, 64, 3, 3}, {}, {}, {1, 1, 1, 1}},
    {"planes of a pixel", {130, 33, 1, 1}, {19, 33, 3, 3}, {}, {}, {1, 1, 1, 1}},
    {"many filters", {2, 16, 6, 6}, {301, 16, 3, 3}, {}, {}, {1, 1, 1, 1}},
    {"long sums", {2, 300, 5, 5}, {18, 300, 3, 3}, {}, {}, {1, 1, 1, 1}},
    {"large plane", {1, 5, 70, 61}, {6, 5, 3, 3}, {}, {}, {1, 1, 1, 1}},
    {"asymmetric pads", {2, 20, 7, 9}, {13, 20, 3, 2}, {}, {}, {0, 2, 3, 1}},
    {"strided", {3, 17, 15, 16}, {19, 17, 3, 3}, {2, 3}, {}, {1, 0, 1, 2}},
    {"strided, small", {20, 40, 8, 8}, {48, 40, 3, 3}, {2, 2}, {}, {1, 1, 1, 1}},
    {"dilated", {1, 19, 14, 15}, {16, 19, 3, 3}, {}, {2, 3}, {2, 3, 4, 6}},
    {"strided and dilated", {1, 19, 14, 15}, {6, 19, 3, 3}, {1, 2}, {2, 3}, {2, 3, 2, 3}},
    {"pads wider than the input", {1, 17, 2, 3}, {3, 17, 3, 3}, {}, {}, {4, 5, 4, 5}},
    {"pointwise", {3, 70, 5, 7}, {37, 70, 1, 1}},
    {"pointwise, many pixels", {1, 33, 40, 41}, {20, 33, 1, 1}},
    {"pointwise, strided", {12, 33, 9, 8}, {14, 33, 1, 1}, {2, 2}},
    {"large kernel", {2, 2, 30, 30}, {3, 2, 21, 20}},
    {"1-D, long", {1, 16, 3000}, {12, 16, 3}, {}, {}, {1, 1}},
    {"1-D, strided", {2, 20, 50}, {11, 20, 5}, {2}, {3}, {4, 6}},
    {"3-D", {2, 18, 5, 6, 7}, {7, 18, 3, 2, 3}, {}, {1, 2, 1}, {1, 0, 1, 2, 1, 0}},
    {"3-D, strided", {1, 18, 5, 6, 7}, {7, 18, 3, 2, 3}, {2, 1, 1}, {1, 2, 1}, {1, 0, 1, 2, 1, 0}},
};

enum class Direction : uint8_t { kForward, kInputGrad, kWeightGrad };

struct Problem {
  ConvGeometry g;
  int64_t batch;
  Shape xs, ws, ys;
  Guarded<float> x, w, dy, bias, residual;

  explicit Problem(const Case& c)
      : g(make_conv_geometry(c.x, c.w, 1, {.kernel = {}, .strides = c.strides, .dilations = c.dilations, .pads = c.pads})), batch(c.x[0]),
        xs(c.x), ws(c.w), ys(g.output_shape(batch)), x(Guarded<float>::random(xs.elements(), 1)), w(Guarded<float>::random(ws.elements(), 2)),
        dy(Guarded<float>::random(ys.elements(), 3)), bias(Guarded<float>::random(g.filters, 4)), residual(Guarded<float>::random(ys.elements(), 5)) {}

  static ConstTensorView view(const Guarded<float>& v, const Shape& s) { return {reinterpret_cast<const std::byte*>(v.data()), DType::kF32, s}; }
  static TensorView result(const Guarded<float>& v, const Shape& s) { return {reinterpret_cast<std::byte*>(v.data()), DType::kF32, s}; }
  const Shape& shape(Direction d) const { return d == Direction::kForward ? ys : d == Direction::kInputGrad ? xs : ws; }

  // Into `to`, which ends at the guard, as the workspace does. The latter may be of a larger geometry.
  void run(Direction d, const Guarded<float>& to, int threads, Isa isa, const ConvWorkspace& sizes, const ConvEpilogue& epilogue = {}) const {
    const GuardedMemory workspace(round_up(d == Direction::kForward ? sizes.forward : d == Direction::kInputGrad ? sizes.input_grad : sizes.weight_grad));
    std::fill(workspace.bytes().begin(), workspace.bytes().end(), std::byte{0xff});  // NaN
    const KernelContext context{.threads = threads, .workspace = workspace.bytes()};
    if (d == Direction::kForward) rounded_conv(context, g, view(x, xs), view(w, ws), result(to, ys), epilogue, isa);
    if (d == Direction::kInputGrad) rounded_conv_input_grad(context, g, view(w, ws), view(dy, ys), result(to, xs), isa);
    if (d == Direction::kWeightGrad) rounded_conv_weight_grad(context, g, view(x, xs), view(dy, ys), result(to, ws), isa);
  }
  std::vector<float> run(Direction d, int threads, Isa isa) const {
    const Guarded<float> to(shape(d).elements(), -99);
    run(d, to, threads, isa, rounded_conv_workspace(g, threads, isa));
    return {to.data(), to.data() + to.size()};
  }
  // Sums, and those of magnitudes.
  std::pair<std::vector<double>, std::vector<double>> definition(Direction d) const {
    std::vector<double> sums(static_cast<size_t>(shape(d).elements())), sizes(sums.size());
    for_each_product(g, batch, [&](size_t xi, size_t wi, size_t yi) {
      const auto at = [](const Guarded<float>& v, size_t i) { return rounded(v.data()[i]); };
      const double term = d == Direction::kForward     ? at(x, xi) * at(w, wi)
                          : d == Direction::kInputGrad ? at(dy, yi) * at(w, wi)
                                                       : at(dy, yi) * at(x, xi);
      const size_t i = d == Direction::kForward ? yi : d == Direction::kInputGrad ? xi : wi;
      sums[i] += term, sizes[i] += std::abs(term);
    });
    return {sums, sizes};
  }

 private:
  static size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }
};

constexpr Direction kDirections[] = {Direction::kForward, Direction::kInputGrad, Direction::kWeightGrad};

TEST(RoundedConv, EveryTierAndDirectionIsTheSumOfRoundedProducts) {
  for (const Case& c : kCases) {
    const Problem problem(c);
    for (const Direction d : kDirections) {
      const auto [expected, sizes] = problem.definition(d);
      for (const Isa isa : available_isas()) {
        SCOPED_TRACE(testing::Message() << c.what << ' ' << name(isa) << ' ' << int(d));
        const std::vector<float> one = problem.run(d, 1, isa);
        for (size_t i = 0; i < expected.size(); ++i)
          ASSERT_NEAR(static_cast<double>(one[i]), expected[i], 4e-6 * (1 + sizes[i])) << i;
        EXPECT_EQ(one, problem.run(d, 3, isa));
      }
    }
  }
}

TEST(RoundedConv, BiasResidualAndActivation) {
  for (const size_t which : {2u, 3u, 5u, 7u}) {
    const Problem p(kCases[which]);
    const auto [expected, sizes] = p.definition(Direction::kForward);
    for (const Isa isa : available_isas()) {
      const Guarded<float> y(p.ys.elements());
      const ConvEpilogue epilogue = {Problem::view(p.bias, {p.g.filters}), Problem::view(p.residual, p.ys), {UnaryOp::kRelu}};
      p.run(Direction::kForward, y, 1, isa, rounded_conv_workspace(p.g, 1, isa), epilogue);
      const int64_t pixels = p.g.window.output_size();
      for (int64_t i = 0; i < y.size(); ++i) {
        const double sum = expected[static_cast<size_t>(i)] + static_cast<double>(p.bias[i / pixels % p.g.filters]) + static_cast<double>(p.residual[i]);
        ASSERT_NEAR(static_cast<double>(y[i]), std::max(0.0, sum), 4e-6 * (3 + sizes[static_cast<size_t>(i)])) << name(isa) << ' ' << i;
      }
    }
  }
}

TEST(RoundedConv, WorkspaceOfALargePlaneHoldsSmallerOnes) {
  for (const Isa isa : available_isas())
    for (const int64_t stride : {1, 2})
      for (int64_t size = 3; size < 70; ++size) {
        const auto sizes = [&](int64_t n) {
          const std::vector<int64_t> strides = {stride, stride}, pads = {1, 1, 1, 1};
          return rounded_conv_workspace(make_conv_geometry({1, 20, n, n}, {24, 20, 3, 3}, 1, {.kernel = {}, .strides = strides, .pads = pads}), 2, isa);
        };
        const ConvWorkspace small = sizes(size), large = sizes(size + 1);
        EXPECT_LE(small.forward, large.forward) << size;
        EXPECT_LE(small.input_grad, large.input_grad) << size;
        EXPECT_LE(small.weight_grad, large.weight_grad) << size;
      }
}

TEST(RoundedConv, NoImagesHaveNoGradient) {
  const Problem p({"none", {0, 4, 5, 5}, {6, 4, 3, 3}});
  for (const Isa isa : available_isas()) {
    for (const float dw : p.run(Direction::kWeightGrad, 2, isa)) EXPECT_EQ(dw, 0);
    EXPECT_TRUE(p.run(Direction::kForward, 2, isa).empty());
    EXPECT_TRUE(p.run(Direction::kInputGrad, 2, isa).empty());
  }
}

TEST(RoundedConv, CostsLessOnlyWhereBf16IsMultiplied) {
  for (const Isa isa : available_isas()) {
    EXPECT_EQ(rounded_conv_price(isa) < 1, multiplies_bf16(isa)) << name(isa);
    EXPECT_GT(rounded_conv_price(isa), 0) << name(isa);
  }
}

TEST(RoundedConv, GroupsDoublesAndSmallWorkspacesAreErrors) {
  const Problem p(kCases[1]);
  const Guarded<float> y(p.ys.elements());
  const auto convolve = [&](const ConvGeometry& g, DType dtype, std::span<std::byte> workspace) {
    const std::byte* x = Problem::view(p.x, p.xs).data;
    rounded_conv({.workspace = workspace}, g, {x, dtype, p.xs}, Problem::view(p.w, p.ws), Problem::result(y, p.ys));
  };
  std::vector<std::byte> workspace(rounded_conv_workspace(p.g, 1).forward);
  convolve(p.g, DType::kF32, workspace);
  EXPECT_THROW(convolve(p.g, DType::kF32, std::span(workspace).subspan(1)), Error);
  EXPECT_THROW(convolve(p.g, DType::kF64, workspace), Error);
  ConvGeometry grouped = p.g;
  grouped.groups = 3;
  EXPECT_FALSE(has_rounded_conv(grouped));
  EXPECT_THROW(convolve(grouped, DType::kF32, workspace), Error);
}

}  // namespace
}  // namespace tandem::cpu
