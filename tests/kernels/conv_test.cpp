// Convolution and its gradients against seven nested loops in double, for every tier; and the arithmetic of windows.
#include "kernels/api/conv.h"
#include "kernels/api/packed_workspace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/conv_definition.h"
#include "tests/kernels/float_tiers.h"

namespace tandem::cpu {
namespace {

using test::for_each_product;

template <class T>
std::vector<T> noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(static_cast<size_t>(n));
  for (T& v : values) v = static_cast<T>(uniform(random));
  return values;
}

template <class T>
ConstTensorView view(const std::vector<T>& values, const Shape& shape) {
  return {reinterpret_cast<const std::byte*>(values.data()), dtype_of<T>, shape};
}
template <class T>
TensorView view(std::vector<T>& values, const Shape& shape) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, shape};
}

struct Case {
  const char* what;
  Shape x, w;
  int64_t groups = 1;
  std::vector<int64_t> strides = {}, dilations = {}, pads = {};
};

const Case kCases[] = {
    {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"first layer", {3, 1, 28, 28}, {32, 1, 3, 3}},
    {"second layer", {2, 32, 26, 26}, {64, 32, 3, 3}},
    {"padded", {2, 3, 11, 13}, {5, 3, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"asymmetric pads", {2, 20, 7, 9}, {13, 20, 3, 2}, 1, {}, {}, {0, 2, 3, 1}},
    {"stride", {2, 17, 15, 16}, {9, 17, 3, 3}, 1, {2, 3}, {}, {1, 0, 1, 2}},
    {"large stride", {1, 18, 20, 21}, {4, 18, 2, 2}, 1, {5, 4}},
    {"dilation", {1, 19, 14, 15}, {6, 19, 3, 3}, 1, {1, 2}, {2, 3}, {2, 3, 2, 3}},
    {"pads wider than the input", {1, 17, 2, 3}, {3, 17, 3, 3}, 1, {}, {}, {4, 5, 4, 5}},
    {"pads never reached by some taps", {1, 16, 3, 3}, {2, 16, 5, 5}, 1, {2, 2}, {}, {3, 3, 3, 3}},
    {"groups", {2, 12, 9, 8}, {15, 4, 3, 3}, 3, {}, {}, {1, 1, 1, 1}},
    {"wide groups", {2, 40, 6, 5}, {26, 20, 3, 3}, 2, {}, {}, {1, 0, 0, 1}},
    {"depthwise", {2, 7, 10, 11}, {7, 1, 3, 3}, 7, {}, {}, {1, 1, 1, 1}},
    {"depthwise, strided and dilated", {2, 5, 13, 12}, {5, 1, 3, 2}, 5, {2, 3}, {2, 1}, {2, 1, 0, 1}},
    {"depthwise, two filters a channel", {2, 3, 8, 8}, {6, 1, 5, 5}, 3, {1, 2}, {}, {2, 2, 2, 2}},
    {"pointwise", {3, 70, 5, 7}, {37, 70, 1, 1}},
    {"pointwise, many pixels", {1, 33, 40, 41}, {20, 33, 1, 1}},
    {"pointwise, strided", {2, 33, 9, 8}, {14, 33, 1, 1}, 1, {2, 2}},
    {"pointwise, groups", {2, 24, 6, 6}, {18, 8, 1, 1}, 3},
    {"deep", {1, 130, 5, 5}, {3, 130, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"many filters", {1, 17, 6, 6}, {401, 17, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"large kernel", {1, 2, 30, 30}, {3, 2, 21, 20}},
    {"1-D", {2, 20, 50}, {11, 20, 5}, 1, {2}, {3}, {4, 6}},
    {"1-D, long", {1, 16, 3000}, {12, 16, 3}, 1, {}, {}, {1, 1}},
    {"3-D", {1, 18, 5, 6, 7}, {7, 18, 3, 2, 3}, 1, {2, 1, 1}, {1, 2, 1}, {1, 0, 1, 2, 1, 0}},
    {"by rows, padded", {5, 33, 7, 9}, {34, 33, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"by rows, asymmetric pads", {2, 16, 7, 9}, {49, 16, 3, 2}, 1, {}, {}, {0, 1, 2, 0}},
    {"by rows, strided", {3, 17, 15, 16}, {19, 17, 3, 3}, 1, {2, 3}, {}, {1, 0, 1, 2}},
    {"by rows, dilated", {1, 19, 14, 15}, {16, 19, 3, 3}, 1, {}, {2, 3}, {2, 3, 4, 6}},
    {"by rows, 1-D", {4, 20, 50}, {18, 20, 5}, 1, {}, {3}, {4, 6}},
    {"by rows, 3-D", {1, 18, 5, 6, 7}, {17, 18, 3, 2, 3}, 1, {}, {1, 2, 1}, {1, 0, 1, 2, 1, 0}},
    {"by rows, small planes", {40, 64, 4, 4}, {64, 64, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"images together", {70, 17, 4, 4}, {34, 17, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"images together, strided", {9, 17, 15, 16}, {35, 17, 3, 3}, 1, {2, 3}, {}, {1, 0, 1, 2}},
    {"images together, dilated", {3, 33, 7, 8}, {40, 33, 3, 3}, 1, {}, {2, 3}, {2, 3, 2, 3}},
    {"images together, taps that meet padding only", {40, 16, 1, 2}, {33, 16, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
    {"images together, wide pads", {5, 16, 3, 3}, {33, 16, 5, 5}, 1, {2, 2}, {}, {3, 3, 3, 3}},
    {"images together, pointwise", {70, 40, 3, 5}, {48, 40, 1, 1}},
    {"images together, pointwise, strides beyond the plane", {7, 18, 3, 2}, {32, 18, 1, 1}, 1, {2, 5}},
    {"images together, large inputs", {2, 16, 44, 46}, {32, 16, 3, 3}, 1, {9, 8}},
    {"small results of larger inputs", {1, 16, 48, 48}, {32, 16, 3, 3}, 1, {9, 9}},
    {"images together, several parts of filters", {65, 16, 4, 4}, {230, 16, 2, 3}, 1, {}, {}, {0, 1, 1, 1}},
    {"images together, 1-D", {50, 20, 50}, {34, 20, 5}, 1, {2}, {3}, {4, 6}},
    {"images together, 3-D", {13, 18, 5, 6, 7}, {38, 18, 3, 2, 3}, 1, {2, 1, 2}, {1, 2, 1}, {1, 0, 1, 2, 1, 0}},
    {"3-D, few channels", {2, 2, 4, 5, 6}, {3, 2, 2, 3, 3}, 1, {1, 2, 1}, {}, {0, 1, 1, 1, 1, 0}},
};

ConvGeometry geometry_of(const Case& c) {
  return make_conv_geometry(c.x, c.w, c.groups, {.kernel = {}, .strides = c.strides, .dilations = c.dilations, .pads = c.pads});
}

template <class T>
void expect_close(const std::vector<T>& actual, const std::vector<double>& expected, double terms) {
  ASSERT_EQ(actual.size(), expected.size());
  const double bound = std::numeric_limits<T>::epsilon() * (4 + 4 * std::sqrt(terms) + terms / 4);
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i)
    worst = std::max(worst, std::abs(double(actual[i]) - expected[i]) / std::max(1.0, std::abs(expected[i])));
  EXPECT_LE(worst, bound);
}

enum Direction { kForward, kInputGrad, kWeightGrad };

// One direction of one case with a team; garbage in the output and in the workspace before.
template <class T>
std::vector<T> run(Direction direction, const ConvGeometry& g, int64_t batch, const std::vector<T>& x, const std::vector<T>& w,
                   const std::vector<T>& dy, int threads, Isa isa) {
  const ConvWorkspace sizes = conv_workspace_bytes(g, dtype_of<T>, threads, isa);
  std::vector<std::byte> workspace(direction == kForward     ? sizes.forward
                                   : direction == kInputGrad ? sizes.input_grad
                                                             : sizes.weight_grad,
                                   std::byte{0xff});
  KernelContext context;
  context.threads = threads;
  context.workspace = workspace;
  const Shape xs = g.input_shape(batch), ws = g.weight_shape(), ys = g.output_shape(batch);
  std::vector<T> result(static_cast<size_t>((direction == kForward ? ys : direction == kInputGrad ? xs : ws).elements()), T(-99));
  if (direction == kForward) conv(context, g, view(x, xs), view(w, ws), view(result, ys), {}, isa);
  if (direction == kInputGrad) conv_input_grad(context, g, view(w, ws), view(dy, ys), view(result, xs), isa);
  if (direction == kWeightGrad) conv_weight_grad(context, g, view(x, xs), view(dy, ys), view(result, ws), isa);
  return result;
}

template <class T>
void check_case(const Case& c, Isa isa) {
  SCOPED_TRACE(c.what);
  const ConvGeometry g = geometry_of(c);
  const int64_t batch = c.x[0];
  const auto x = noise<T>(c.x.elements(), 1), w = noise<T>(c.w.elements(), 2), dy = noise<T>(g.output_shape(batch).elements(), 3);
  std::vector<double> y(dy.size()), dx(x.size()), dw(w.size());
  for_each_product(g, batch, [&](size_t i, size_t j, size_t k) {
    y[k] += double(x[i]) * double(w[j]);
    dx[i] += double(dy[k]) * double(w[j]);
    dw[j] += double(dy[k]) * double(x[i]);
  });
  const double patch = double(c.w.elements()) / double(c.w[0]);
  {
    SCOPED_TRACE("forward");
    const std::vector<T> one = run(kForward, g, batch, x, w, dy, 1, isa);
    expect_close(one, y, patch);
    for (int threads : {2, 3}) EXPECT_EQ(one, run(kForward, g, batch, x, w, dy, threads, isa));
  }
  {
    SCOPED_TRACE("input gradient");
    const std::vector<T> one = run(kInputGrad, g, batch, x, w, dy, 1, isa);
    expect_close(one, dx, patch * double(c.w[0]) / double(c.w[1] * c.groups));
    for (int threads : {2, 3}) EXPECT_EQ(one, run(kInputGrad, g, batch, x, w, dy, threads, isa));
  }
  {
    SCOPED_TRACE("weight gradient");
    const std::vector<T> one = run(kWeightGrad, g, batch, x, w, dy, 1, isa);
    expect_close(one, dw, double(batch * g.window.output_size()));
    for (int threads : {2, 3}) EXPECT_EQ(one, run(kWeightGrad, g, batch, x, w, dy, threads, isa));
  }
}

class ConvTiers : public testing::TestWithParam<Isa> {
  void SetUp() override {
    if (!machine_has(GetParam())) GTEST_SKIP() << "this machine lacks " << name(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(All, ConvTiers, testing::ValuesIn(float_tiers()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(ConvTiers, AllCases) {
  for (const Case& c : kCases) check_case<float>(c, GetParam());
}

TEST(Conv, Double) {
  for (const Case& c : kCases) check_case<double>(c, chosen_isa());
}

TEST_P(ConvTiers, EpilogueAndPackedFilters) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.what);
    const ConvGeometry g = geometry_of(c);
    const Shape ys = g.output_shape(c.x[0]);
    const auto x = noise<float>(c.x.elements(), 1), w = noise<float>(c.w.elements(), 2), bias = noise<float>(g.filters, 4);
    const auto residual = noise<float>(ys.elements(), 5);
    std::vector<double> expected(residual.begin(), residual.end());
    for_each_product(g, c.x[0], [&](size_t i, size_t j, size_t k) { expected[k] += double(x[i]) * double(w[j]); });
    for (size_t k = 0; k < expected.size(); ++k)
      expected[k] = std::max(0.0, expected[k] + double(bias[k / static_cast<size_t>(g.window.output_size()) % bias.size()]));
    KernelContext context;
    context.threads = 2;
    std::vector<std::byte> workspace(conv_workspace_bytes(g, DType::kF32, 2, GetParam()).forward);
    context.workspace = workspace;
    std::vector<float> y(expected.size()), packed_y = residual;  // the second run in place on the residual
    const ConvEpilogue epilogue{view(bias, {g.filters}), view(residual, ys), Activation(UnaryOp::kRelu)};
    conv(context, g, view(x, c.x), view(w, c.w), view(y, ys), epilogue, GetParam());
    expect_close(y, expected, double(c.w.elements()) / double(c.w[0]));
    const PackedFilters packed = pack_filters(g, view(w, c.w), GetParam());
    const ConvEpilogue in_place{view(bias, {g.filters}), view(std::as_const(packed_y), ys), Activation(UnaryOp::kRelu)};
    context.workspace = context.workspace.first(conv_workspace_with_packed_filters(g, DType::kF32, 2, GetParam()));
    conv(context, g, view(x, c.x), packed, view(packed_y, ys), in_place);
    EXPECT_EQ(y, packed_y);
  }
}

TEST(Conv, EmptyBatch) {
  const ConvGeometry g = make_conv_geometry({4, 3, 5, 5}, {2, 3, 3, 3}, 1, {});
  const std::vector<float> none, w = noise<float>(54, 1);
  EXPECT_TRUE(run(kForward, g, 0, none, w, none, 2, chosen_isa()).empty());
  EXPECT_TRUE(run(kInputGrad, g, 0, none, w, none, 2, chosen_isa()).empty());
  EXPECT_EQ(run(kWeightGrad, g, 0, none, w, none, 2, chosen_isa()), std::vector<float>(54, 0.0f));
}

// A plan asks once, for the largest plane; a run may bring any smaller one.
TEST_P(ConvTiers, WorkspaceOfALargePlaneServesAllSmallerOnes) {
  const auto workspace = [](int64_t height, int64_t width, int64_t channels, int64_t kernel) {
    const int64_t half = kernel / 2, pads[] = {half, half, half, half};
    WindowOptions padded;
    padded.pads = pads;
    return conv_workspace_bytes(make_conv_geometry({1, channels, height, width}, {40, channels, kernel, kernel}, 1, padded), DType::kF32, 2,
                                GetParam());
  };
  for (const auto& [channels, kernel] : {std::pair<int64_t, int64_t>{3, 7}, {64, 3}, {16, 1}}) {
    const ConvWorkspace largest = workspace(50, 60, channels, kernel);
    for (int64_t height = 1; height <= 50; height += 3)
      for (int64_t width = 1; width <= 60; ++width) {
        const ConvWorkspace bytes = workspace(height, width, channels, kernel);
        EXPECT_LE(bytes.forward, largest.forward) << height << " x " << width;
        EXPECT_LE(bytes.input_grad, largest.input_grad) << height << " x " << width;
        EXPECT_LE(bytes.weight_grad, largest.weight_grad) << height << " x " << width;
      }
  }
}

TEST(Conv, ImagesDoNotDependOnTheirBatch) {
  const ConvGeometry g = make_conv_geometry({5, 20, 9, 9}, {30, 20, 3, 3}, 1, {});
  const auto x = noise<float>(5 * 20 * 81, 1), w = noise<float>(30 * 20 * 9, 2);
  const std::vector<float> all = run(kForward, g, 5, x, w, {}, 2, chosen_isa());
  const std::vector<float> last(x.end() - 20 * 81, x.end());
  EXPECT_EQ(run(kForward, g, 1, last, w, {}, 3, chosen_isa()), std::vector<float>(all.end() - 30 * 49, all.end()));
}

TEST(ConvGeometry, RefusesWhatDoesNotFit) {
  const auto error_of = [](const Shape& x, const Shape& w, int64_t groups, const WindowOptions& options) -> std::string {
    try {
      make_conv_geometry(x, w, groups, options);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  using testing::HasSubstr;
  const std::vector<int64_t> zero = {0, 1}, one = {1}, negative = {0, 0, -1, 0}, huge = {int64_t{1} << 62, 1}, two = {2, 2};
  EXPECT_THAT(error_of({1, 3, 8, 8}, {4, 4, 3, 3}, 1, {}), HasSubstr("channels"));
  EXPECT_THAT(error_of({1, 4, 8, 8}, {5, 2, 3, 3}, 2, {}), HasSubstr("multiple of group"));
  EXPECT_THAT(error_of({1, 4, 8, 8}, {4, 4, 3, 3}, 0, {}), HasSubstr("group"));
  EXPECT_THAT(error_of({1, 4, 8}, {4, 4, 3, 3}, 1, {}), HasSubstr("rank"));
  EXPECT_THAT(error_of({1, 4, 2, 8}, {4, 4, 3, 3}, 1, {}), HasSubstr("larger than the padded input"));
  EXPECT_THAT(error_of({1, 4, 8, 8}, {4, 4, 3, 3}, 1, {.kernel = {}, .strides = zero}), HasSubstr("strides"));
  EXPECT_THAT(error_of({1, 4, 8, 8}, {4, 4, 3, 3}, 1, {.kernel = {}, .strides = one}), HasSubstr("strides"));
  EXPECT_THAT(error_of({1, 4, 8, 8}, {4, 4, 3, 3}, 1, {.kernel = {}, .pads = negative}), HasSubstr("pads"));
  EXPECT_THAT(error_of({1, 4, 8, 8}, {4, 4, 3, 3}, 1, {.kernel = {}, .dilations = huge}), HasSubstr("overflow"));
  EXPECT_THAT(error_of({1, 4, 8, 8}, {4, 4, 3, 3}, 1, {.kernel = two}), HasSubstr("kernel_shape"));
}

TEST(Window, AutoPad) {
  const std::vector<int64_t> kernel = {3, 4}, strides = {2, 3};
  const Window upper = make_window({1, 1, 10, 11}, {.kernel = kernel, .strides = strides, .auto_pad = AutoPad::kSameUpper});
  EXPECT_EQ(upper.output, (Window::Sizes{1, 5, 4}));
  EXPECT_EQ(upper.pad_begin, (Window::Sizes{0, 0, 1}));
  EXPECT_EQ(upper.pad_end, (Window::Sizes{0, 1, 1}));
  const Window lower = make_window({1, 1, 10, 11}, {.kernel = kernel, .strides = strides, .auto_pad = AutoPad::kSameLower});
  EXPECT_EQ(lower.pad_begin, (Window::Sizes{0, 1, 1}));
  EXPECT_EQ(lower.pad_end, (Window::Sizes{0, 0, 1}));
  const Window valid = make_window({1, 1, 10, 11}, {.kernel = kernel, .strides = strides, .auto_pad = AutoPad::kValid});
  EXPECT_EQ(valid.output, (Window::Sizes{1, 4, 3}));
}

TEST(Window, CeilModeNeverStartsBeyondTheInput) {
  const std::vector<int64_t> one = {1}, two = {2}, three = {3}, pads = {0, 1};
  EXPECT_EQ(make_window({1, 1, 5}, {.kernel = two, .strides = two}).output[2], 2);
  EXPECT_EQ(make_window({1, 1, 5}, {.kernel = two, .strides = two, .ceil_mode = true}).output[2], 3);
  // ceil((2 + 1 - 1) / 2) + 1 = 2; with stride 3 a second window would start at 3, behind input and begin pad.
  EXPECT_EQ(make_window({1, 1, 2}, {.kernel = one, .strides = three, .pads = pads, .ceil_mode = true}).output[2], 1);
}

}  // namespace
}  // namespace tandem::cpu
