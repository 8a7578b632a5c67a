// The CUDA twins of pooling against the CPU's: 1 to 3 axes, every kind of window, all types.
#include "kernels/api/pool.h"

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

struct Case {
  Shape x;
  std::vector<int64_t> kernel, strides = {}, dilations = {}, pads = {};
  bool ceil_mode = false;
};

const Case kCases[] = {
    {{2, 3, 8, 8}, {2, 2}, {2, 2}},
    {{3, 3, 9, 7}, {3, 2}},
    {{1, 2, 9, 10}, {3, 3}, {2, 3}, {}, {1, 1, 1, 1}},
    {{1, 2, 9, 10}, {3, 3}, {2, 3}, {}, {0, 2, 1, 0}, true},
    {{2, 1, 11, 12}, {2, 3}, {1, 2}, {3, 2}, {1, 2, 2, 1}},
    {{2, 2, 600}, {5}, {1}, {}, {2, 2}},
    {{1, 2, 21}, {4}, {3}, {2}, {1, 3}, true},
    {{1, 2, 5, 6, 7}, {2, 3, 2}, {2, 1, 2}, {1, 2, 1}, {0, 1, 1, 1, 1, 0}},
    {{1, 1, 3, 3}, {2, 2}, {1, 1}, {1, 1}, {2, 2, 2, 2}},  // windows within the padding
    {{1, 2, 4, 4}, {1, 1}, {7, 5}},                        // a step larger than the input
    {{0, 2, 5, 5}, {2, 2}},
    {{3, 2, 9, 11}, {9, 11}},  // the whole plane
    {{2, 3, 1000}, {1000}},
};

Window window_of(const Case& c) {
  return make_window(
      c.x, {.kernel = c.kernel, .strides = c.strides, .dilations = c.dilations, .pads = c.pads, .ceil_mode = c.ceil_mode});
}

template <class Body>
void for_each_case(Body body) {
  for (const Case& c : kCases)
    for (unsigned seed : kSeeds) {
      SCOPED_TRACE(to_string(c.x));
      body(window_of(c), c.x, seed);
    }
}

// Few different numbers, so that ties are common; one NaN where there are such and the seed is odd.
template <class T>
Values<T> with_ties(const Shape& shape, unsigned seed) {
  Values<T> x(shape);
  std::mt19937 random(seed);
  for (T& value : x.data) value = rounded<T>(static_cast<double>(random() % 7));
  if constexpr (!std::is_integral_v<T>)
    if (seed % 2 == 1 && !x.data.empty()) x.data[random() % x.data.size()] = rounded<T>(std::nan(""));
  return x;
}
// The same numbers as f32 where T has no twin on the CPU.
template <class T>
auto wide(const Values<T>& x) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, BF16>) {
    Values<float> y(x.shape);
    for (size_t i = 0; i < x.data.size(); ++i) y.data[i] = to_float(x.data[i]);
    return y;
  } else {
    return x;
  }
}

template <class T>
void expect_max() {
  for_each_case([](const Window& w, const Shape& shape, unsigned seed) {
    const Shape ys = pool_shape(shape, w);
    const auto x = with_ties<T>(shape, seed);
    const auto wide_x = wide(x);
    auto expected = wide_x;
    expected = decltype(expected)(ys);
    DeviceTensor device_x(x), y(Values<T>{ys}), at(Values<int64_t>{ys});
    for (bool by_column : {false, true}) {
      Values<int64_t> expected_at(ys);
      cpu::max_pool({}, w, wide_x.view(), expected.view(), expected_at.view(), by_column);
      cuda::max_pool({}, w, device_x.view(), y.view(), at.view(), by_column);
      expect_twins(y.values<T>(), expected, 0);
      EXPECT_EQ(at.values<int64_t>().data, expected_at.data);
    }
    DeviceTensor alone(Values<T>{ys});
    cuda::max_pool({}, w, device_x.view(), alone.view());
    expect_twins(alone.values<T>(), expected, 0);
  });
}

TEST(CudaMaxPool, EqualsItsTwin) {
  expect_max<float>();
  expect_max<double>();
  expect_max<int32_t>();
  expect_max<int64_t>();
  expect_max<uint8_t>();
  expect_max<int8_t>();
  expect_max<F16>();
  expect_max<BF16>();
}

template <class T>
void expect_max_grad(double tolerance) {
  for_each_case([=](const Window& w, const Shape& shape, unsigned seed) {
    const auto x = with_ties<T>(shape, seed), dy = with_ties<T>(pool_shape(shape, w), seed + 1);
    const auto wide_x = wide(x), wide_dy = wide(dy);
    auto expected = wide_x;
    cpu::max_pool_grad({}, w, wide_x.view(), wide_dy.view(), expected.view());
    DeviceTensor device_x(x), device_dy(dy), dx(Values<T>{shape});
    cuda::max_pool_grad({}, w, device_x.view(), device_dy.view(), dx.view());
    expect_twins(dx.values<T>(), expected, tolerance);
  });
}

TEST(CudaMaxPoolGrad, EqualsItsTwinBitForBit) {
  expect_max_grad<float>(0);
  expect_max_grad<double>(0);
  expect_max_grad<F16>(kHalfTolerance<F16>);
  expect_max_grad<BF16>(kHalfTolerance<BF16>);
}

template <class T>
void expect_average(double tolerance) {
  for_each_case([=](const Window& w, const Shape& shape, unsigned seed) {
    const Shape ys = pool_shape(shape, w);
    const auto x = with_ties<T>(shape, seed), dy = with_ties<T>(ys, seed + 1);
    const auto wide_x = wide(x), wide_dy = wide(dy);
    auto expected_y = wide_dy;
    auto expected_dx = wide_x;
    DeviceTensor device_x(x), device_dy(dy), y(Values<T>{ys}), dx(Values<T>{shape});
    for (bool with_pads : {false, true}) {
      cpu::average_pool({}, w, wide_x.view(), expected_y.view(), with_pads);
      cuda::average_pool({}, w, device_x.view(), y.view(), with_pads);
      expect_twins(y.values<T>(), expected_y, tolerance);
      cpu::average_pool_grad({}, w, wide_dy.view(), expected_dx.view(), with_pads);
      cuda::average_pool_grad({}, w, device_dy.view(), dx.view(), with_pads);
      expect_twins(dx.values<T>(), expected_dx, tolerance);
    }
  });
}

TEST(CudaAveragePool, AndItsGradientEqualTheirTwins) {
  expect_average<float>(1e-5);
  expect_average<double>(1e-12);
  expect_average<F16>(kHalfTolerance<F16>);
  expect_average<BF16>(kHalfTolerance<BF16>);
}

template <class T>
void expect_global(double tolerance) {
  for (const Shape& shape :
       {Shape{3, 5, 7, 7}, Shape{2, 9, 1}, Shape{1, 4, 33, 41}, Shape{0, 3, 4}, Shape{2, 5}, Shape{2, 3, 2, 3, 4}})
    for (unsigned seed : kSeeds) {
      SCOPED_TRACE(to_string(shape));
      const Shape ys{shape[0], shape[1]};
      const auto x = with_ties<T>(shape, seed), dy = with_ties<T>(ys, seed + 1);
      const auto wide_x = wide(x), wide_dy = wide(dy);
      auto expected_y = wide_dy;
      auto expected_dx = wide_x;
      DeviceTensor device_x(x), device_dy(dy), y(Values<T>{ys}), dx(Values<T>{shape});
      cpu::global_average_pool({}, wide_x.view(), expected_y.view());
      cuda::global_average_pool({}, device_x.view(), y.view());
      expect_twins(y.values<T>(), expected_y, tolerance);
      cpu::global_average_pool_grad({}, wide_dy.view(), expected_dx.view());
      cuda::global_average_pool_grad({}, device_dy.view(), dx.view());
      expect_twins(dx.values<T>(), expected_dx, tolerance);
    }
}

TEST(CudaGlobalAveragePool, AndItsGradientEqualTheirTwins) {
  expect_global<float>(1e-5);
  expect_global<double>(1e-12);
  expect_global<F16>(kHalfTolerance<F16>);
  expect_global<BF16>(kHalfTolerance<BF16>);
}

TEST(CudaMaxPool, RefusesSizesBeyond32Bits) {
  const std::vector<int64_t> kernel = {2}, strides = {int64_t{1} << 40}, pads = {0, int64_t{1} << 40};
  const Window w = make_window({1, 1, 4}, {.kernel = kernel, .strides = strides, .pads = pads});
  DeviceTensor x(Values<float>{{1, 1, 4}}), y(Values<float>{pool_shape({1, 1, 4}, w)});
  EXPECT_THROW(cuda::max_pool({}, w, x.view(), y.view()), Error);
}

}  // namespace
}  // namespace tandem::test
