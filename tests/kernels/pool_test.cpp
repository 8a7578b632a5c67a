// Pooling and its gradients against loops over the definition in double.
#include "kernels/api/pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace tandem::cpu {
namespace {

std::vector<float> noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> uniform(-6, 6);  // few values: ties are common
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(uniform(random)) / 4;
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
  Shape x;
  std::vector<int64_t> kernel, strides = {}, dilations = {}, pads = {};
  bool ceil_mode = false;
};

const Case kCases[] = {
    {{2, 3, 8, 8}, {2, 2}, {2, 2}},
    {{2, 3, 9, 7}, {3, 2}},
    {{1, 2, 9, 10}, {3, 3}, {2, 3}, {}, {1, 1, 1, 1}},
    {{1, 2, 9, 10}, {3, 3}, {2, 3}, {}, {0, 2, 1, 0}, true},
    {{2, 1, 11, 12}, {2, 3}, {1, 2}, {3, 2}, {1, 2, 2, 1}},
    {{2, 2, 600}, {5}, {1}, {}, {2, 2}},
    {{1, 2, 21}, {4}, {3}, {2}, {1, 3}, true},
    {{1, 2, 5, 6, 7}, {2, 3, 2}, {2, 1, 2}, {1, 2, 1}, {0, 1, 1, 1, 1, 0}},
    {{0, 2, 5, 5}, {2, 2}},
    {{40, 4, 20, 20}, {2, 2}, {2, 2}},
};

Window window_of(const Case& c) {
  return make_window(c.x, {.kernel = c.kernel, .strides = c.strides, .dilations = c.dilations, .pads = c.pads, .ceil_mode = c.ceil_mode});
}

// Calls f(plane, output pixel, input pixel or -1, whether it lies within input and pads) for every tap of every window, in scan order.
template <class F>
void for_each_tap_by_definition(const Window& w, int64_t planes, F&& f) {
  for (int64_t plane = 0; plane < planes; ++plane)
    for (int64_t o = 0; o < w.output_size(); ++o)
      for (int64_t t = 0; t < w.kernel_size(); ++t) {
        const int64_t out[3] = {o / (w.output[1] * w.output[2]), o / w.output[2] % w.output[1], o % w.output[2]};
        const int64_t tap[3] = {t / (w.kernel[1] * w.kernel[2]), t / w.kernel[2] % w.kernel[1], t % w.kernel[2]};
        int64_t pixel = 0;
        bool inside = true, padded = true;
        for (size_t a = 0; a < 3; ++a) {
          const int64_t at = out[a] * w.stride[a] - w.pad_begin[a] + tap[a] * w.dilation[a];
          inside = inside && at >= 0 && at < w.input[a];
          padded = padded && at < w.input[a] + w.pad_end[a];
          pixel = pixel * w.input[a] + at;
        }
        f(plane, o, inside ? pixel : -1, padded);
      }
}

KernelContext team(int threads) {
  KernelContext context;
  context.threads = threads;
  return context;
}

TEST(MaxPool, ValuesIndicesAndGradient) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(to_string(c.x));
    const Window w = window_of(c);
    const Shape ys = pool_shape(c.x, w);
    const int64_t planes = c.x[0] * c.x[1];
    const std::vector<float> x = noise(c.x.elements(), 1), dy = noise(ys.elements(), 2);
    std::vector<float> expected(dy.size(), -std::numeric_limits<float>::infinity());
    std::vector<int64_t> expected_at(dy.size(), -1);
    for_each_tap_by_definition(w, planes, [&](int64_t plane, int64_t o, int64_t pixel, bool) {
      if (pixel < 0) return;
      const auto at = static_cast<size_t>(plane * w.output_size() + o);
      const int64_t from = plane * w.input_size() + pixel;
      if (x[static_cast<size_t>(from)] > expected[at]) expected[at] = x[static_cast<size_t>(from)], expected_at[at] = from;
    });
    std::vector<float> expected_dx(x.size(), 0.0f);
    for (size_t i = 0; i < dy.size(); ++i)
      if (expected_at[i] >= 0) expected_dx[static_cast<size_t>(expected_at[i])] += dy[i];
    for (int threads : {1, 3}) {
      std::vector<float> y(dy.size(), 99), plain(dy.size(), 99), dx(x.size(), 99);
      std::vector<int64_t> at(dy.size(), 99);
      max_pool(team(threads), w, view(x, c.x), view(y, ys), view(at, ys));
      max_pool(team(threads), w, view(x, c.x), view(plain, ys));
      max_pool_grad(team(threads), w, view(x, c.x), view(dy, ys), view(dx, c.x));
      EXPECT_EQ(y, expected);
      EXPECT_EQ(plain, expected);
      EXPECT_EQ(at, expected_at);
      EXPECT_EQ(dx, expected_dx);
    }
  }
}

TEST(MaxPool, ColumnMajorIndices) {
  const std::vector<float> x = {0, 1, 2, 9, 4, 5};  // 2 lines of 3
  const std::vector<int64_t> kernel = {2, 3};
  std::vector<float> y(1);
  std::vector<int64_t> at(1);
  const Window w = make_window({1, 1, 2, 3}, {.kernel = kernel});
  max_pool(team(1), w, view(x, {1, 1, 2, 3}), view(y, {1, 1, 1, 1}), view(at, {1, 1, 1, 1}), true);
  EXPECT_EQ(at[0], 1);  // line 1, column 0
}

TEST(MaxPool, NanIsTheMaximumAndIntegersWork) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {3, nan, 5, 1, 2, 0};
  const std::vector<int64_t> kernel = {3}, strides = {3};
  const Window w = make_window({1, 1, 6}, {.kernel = kernel, .strides = strides});
  std::vector<float> y(2);
  max_pool(team(1), w, view(x, {1, 1, 6}), view(y, {1, 1, 2}));
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 2);
  const std::vector<int8_t> bytes = {-3, -7, -128, 4, 100, 2};
  std::vector<int8_t> most(2);
  max_pool(team(1), w, view(bytes, {1, 1, 6}), view(most, {1, 1, 2}));
  EXPECT_EQ(most, (std::vector<int8_t>{-3, 100}));
}

TEST(AveragePool, ValuesAndGradient) {
  for (const Case& c : kCases)
    for (bool include_pad : {false, true}) {
      SCOPED_TRACE(to_string(c.x) + (include_pad ? " with pads" : ""));
      const Window w = window_of(c);
      const Shape ys = pool_shape(c.x, w);
      const int64_t planes = c.x[0] * c.x[1];
      const std::vector<float> x = noise(c.x.elements(), 1), dy = noise(ys.elements(), 2);
      std::vector<double> sums(dy.size()), counts(dy.size()), dx_expected(x.size());
      for_each_tap_by_definition(w, planes, [&](int64_t plane, int64_t o, int64_t pixel, bool padded) {
        const auto at = static_cast<size_t>(plane * w.output_size() + o);
        if (pixel >= 0) sums[at] += double(x[static_cast<size_t>(plane * w.input_size() + pixel)]);
        counts[at] += pixel >= 0 || (include_pad && padded);
      });
      for_each_tap_by_definition(w, planes, [&](int64_t plane, int64_t o, int64_t pixel, bool) {
        const auto at = static_cast<size_t>(plane * w.output_size() + o);
        if (pixel >= 0) dx_expected[static_cast<size_t>(plane * w.input_size() + pixel)] += double(dy[at]) / counts[at];
      });
      std::vector<float> y(dy.size(), 99), dx(x.size(), 99), again = y, dx_again = dx;
      average_pool(team(1), w, view(x, c.x), view(y, ys), include_pad);
      average_pool_grad(team(1), w, view(dy, ys), view(dx, c.x), include_pad);
      for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], counts[i] > 0 ? sums[i] / counts[i] : 0, 1e-6);
      for (size_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], dx_expected[i], 3e-6);
      average_pool(team(3), w, view(x, c.x), view(again, ys), include_pad);
      average_pool_grad(team(3), w, view(dy, ys), view(dx_again, c.x), include_pad);
      EXPECT_EQ(y, again);
      EXPECT_EQ(dx, dx_again);
    }
}

TEST(GlobalAveragePool, ValuesAndGradient) {
  const Shape xs{3, 5, 7, 11}, ys{3, 5, 1, 1};
  const std::vector<float> x = noise(xs.elements(), 1), dy = noise(15, 2);
  std::vector<float> y(15), dx(x.size());
  global_average_pool(team(2), view(x, xs), view(y, ys));
  global_average_pool_grad(team(2), view(dy, ys), view(dx, xs));
  for (size_t plane = 0; plane < 15; ++plane) {
    double sum = 0;
    for (size_t i = 0; i < 77; ++i) sum += double(x[plane * 77 + i]);
    EXPECT_NEAR(y[plane], sum / 77, 1e-6);
    for (size_t i = 0; i < 77; ++i) EXPECT_FLOAT_EQ(dx[plane * 77 + i], dy[plane] / 77);
  }
}

TEST(Pool, WrongShapesAreRefused) {
  const std::vector<int64_t> kernel = {2, 2};
  const Window w = make_window({1, 1, 4, 4}, {.kernel = kernel});
  std::vector<float> x(16), y(9);
  EXPECT_THROW(max_pool(team(1), w, view(std::as_const(x), {1, 1, 4, 4}), view(y, {1, 1, 9, 1})), Error);
  EXPECT_THROW(average_pool(team(1), w, view(std::as_const(x), {1, 1, 2, 8}), view(y, {1, 1, 3, 3})), Error);
}

}  // namespace
}  // namespace tandem::cpu
