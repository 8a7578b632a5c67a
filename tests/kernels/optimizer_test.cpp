// The optimizers against scalar loops in double that follow torch's documented formulas, over ten steps; and the gradient norm.
#include "kernels/api/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace tandem {
namespace {

constexpr int kSteps = 10;
constexpr float kRateF32 = 0.05f;
constexpr double kRate = kRateF32;

template <class T>
TensorView view(std::vector<T>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, Shape{static_cast<int64_t>(values.size())}};
}

template <class T>
ConstTensorView scalar(const T& value) {
  return {reinterpret_cast<const std::byte*>(&value), dtype_of<T>, {}};
}

template <class T>
std::vector<T> random_values(size_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(normal(generator));
  return values;
}

template <class T>
void expect_near(const std::vector<T>& actual, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(static_cast<double>(actual[i]), expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << "element " << i;
}

template <class T>
constexpr double kTolerance = std::is_same_v<T, float> ? 5e-6 : 1e-13;

// torch.optim.SGD, dampening 0.
void reference_sgd(std::vector<double>& p, std::vector<double>& m, const std::vector<double>& gradient, double scale,
                   const SgdOptions& options) {
  for (size_t i = 0; i < p.size(); ++i) {
    double g = gradient[i] * scale + options.weight_decay * p[i];
    m[i] = options.momentum * m[i] + g;
    g = options.nesterov ? g + options.momentum * m[i] : m[i];
    p[i] -= kRate * g;
  }
}

template <class T>
void run_sgd(size_t n, const SgdOptions& options) {
  std::vector<T> p = random_values<T>(n, 1), m(n, T{0});
  std::vector<double> expected_p(p.begin(), p.end()), expected_m(n, 0.0);
  const float scale = 0.5;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<T> g = random_values<T>(n, 100u + static_cast<unsigned>(step));
    reference_sgd(expected_p, expected_m, std::vector<double>(g.begin(), g.end()), scale, options);
    const TensorView momentum = options.momentum > 0 ? view(m) : TensorView{};
    cpu::sgd({},
             {.parameter = view(p),
              .momentum = momentum,
              .gradient = view(g),
              .lr = scalar(kRateF32),
              .scale = scalar(scale),
              .new_parameter = view(p),
              .new_momentum = momentum},
             options);
  }
  expect_near(p, expected_p, kTolerance<T>);
  if (options.momentum > 0) expect_near(m, expected_m, kTolerance<T>);
}

TEST(Sgd, FollowsTorchOverTenSteps) {
  for (size_t n : {1, 7, 16, 1001}) {
    for (const SgdOptions& options :
         {SgdOptions{}, SgdOptions{.momentum = 0.9}, SgdOptions{.momentum = 0.9, .nesterov = true, .weight_decay = 0.01}}) {
      run_sgd<float>(n, options);
      run_sgd<double>(n, options);
    }
  }
}

// torch.optim.Adam and AdamW.
void reference_adam(std::vector<double>& p, std::vector<double>& m, std::vector<double>& v, const std::vector<double>& gradient,
                    double scale, int step, const AdamOptions& options) {
  for (size_t i = 0; i < p.size(); ++i) {
    double g = gradient[i] * scale;
    if (options.decoupled)
      p[i] -= kRate * options.weight_decay * p[i];
    else
      g += options.weight_decay * p[i];
    m[i] = options.beta1 * m[i] + (1 - options.beta1) * g;
    v[i] = options.beta2 * v[i] + (1 - options.beta2) * g * g;
    const double corrected_m = m[i] / (1 - std::pow(options.beta1, step));
    const double corrected_v = v[i] / (1 - std::pow(options.beta2, step));
    p[i] -= kRate * corrected_m / (std::sqrt(corrected_v) + options.epsilon);
  }
}

template <class T>
AdamViews in_place(std::vector<T>& p, std::vector<T>& m, std::vector<T>& v, std::vector<T>& g, const int64_t& step) {
  return {.parameter = view(p),
          .m = view(m),
          .v = view(v),
          .gradient = view(g),
          .lr = scalar(kRateF32),
          .step = scalar(step),
          .new_parameter = view(p),
          .new_m = view(m),
          .new_v = view(v)};
}

template <class T>
void run_adam(size_t n, const AdamOptions& options) {
  std::vector<T> p = random_values<T>(n, 2), m(n, T{0}), v(n, T{0});
  std::vector<double> expected_p(p.begin(), p.end()), expected_m(n, 0.0), expected_v(n, 0.0);
  const float scale = 0.25;
  for (int64_t step = 1; step <= kSteps; ++step) {
    std::vector<T> g = random_values<T>(n, 200u + static_cast<unsigned>(step));
    reference_adam(expected_p, expected_m, expected_v, std::vector<double>(g.begin(), g.end()), scale, static_cast<int>(step),
                   options);
    AdamViews views = in_place(p, m, v, g, step);
    views.scale = scalar(scale);
    cpu::adam({}, views, options);
  }
  expect_near(p, expected_p, kTolerance<T>);
  expect_near(m, expected_m, kTolerance<T>);
  expect_near(v, expected_v, kTolerance<T>);
}

TEST(Adam, FollowsTorchOverTenSteps) {
  for (size_t n : {1, 7, 16, 1001}) {
    for (const AdamOptions& options :
         {AdamOptions{}, AdamOptions{.weight_decay = 0.1}, AdamOptions{.beta1 = 0.8, .weight_decay = 0.1, .decoupled = true}}) {
      run_adam<float>(n, options);
      run_adam<double>(n, options);
    }
  }
}

TEST(Adam, RefusesStepZero) {
  std::vector<float> x(4);
  const int64_t step = 0;
  EXPECT_THROW(cpu::adam({}, in_place(x, x, x, x, step), {}), Error);
}

// An element's bits depend on its own values alone: not on the team, nor on where it stands.
TEST(Adam, BitsDoNotDependOnThreadsOrPosition) {
  const size_t n = 50'001;
  const std::vector<float> start = random_values<float>(n, 3), gradient = random_values<float>(n, 4);
  const auto run = [&](int threads, size_t skip) {
    std::vector<float> p(start.begin() + static_cast<std::ptrdiff_t>(skip), start.end());
    std::vector<float> g(gradient.begin() + static_cast<std::ptrdiff_t>(skip), gradient.end()), m(p.size()), v(p.size());
    const int64_t step = 1;
    cpu::adam({.threads = threads}, in_place(p, m, v, g, step), {.weight_decay = 0.1});
    return p;
  };
  const std::vector<float> one = run(1, 0);
  EXPECT_EQ(one, run(2, 0));
  EXPECT_EQ(one, run(5, 0));
  const std::vector<float> shifted = run(3, 5);
  EXPECT_TRUE(std::equal(shifted.begin(), shifted.end(), one.begin() + 5));
}

TEST(Optimizers, LeaveEverythingAsItIsWhenAStepIsSkipped) {
  const std::vector<float> start = random_values<float>(1001, 7);
  std::vector<float> p = start, m = start, v = start, g = start, other(p.size());
  const int64_t step = 3;
  const bool apply = false;
  AdamViews adam = in_place(p, m, v, g, step);
  adam.apply = scalar(apply);
  cpu::adam({}, adam, {});
  EXPECT_EQ(p, start);
  EXPECT_EQ(m, start);
  EXPECT_EQ(v, start);
  cpu::sgd({},
           {.parameter = view(p),
            .momentum = view(m),
            .gradient = view(g),
            .lr = scalar(kRateF32),
            .apply = scalar(apply),
            .new_parameter = view(other),
            .new_momentum = view(m)},
           {.momentum = 0.9});
  EXPECT_EQ(other, start);
  EXPECT_EQ(m, start);
}

TEST(SumOfSquares, AddsAllInputsInOneOrder) {
  std::vector<float> a = random_values<float>(100'003, 5), b = random_values<float>(3, 6), none;
  double expected = 0;
  for (float x : a) expected += static_cast<double>(x) * x;
  for (float x : b) expected += static_cast<double>(x) * x;
  const std::vector<ConstTensorView> inputs = {view(a), view(none), view(b)};
  std::vector<std::byte> workspace(cpu::sum_of_squares_workspace(100'006, 3));
  std::vector<float> first(1), again(1);
  cpu::sum_of_squares({.threads = 1, .workspace = workspace}, inputs,
                      {reinterpret_cast<std::byte*>(first.data()), DType::kF32, {}});
  cpu::sum_of_squares({.threads = 4, .workspace = workspace}, inputs,
                      {reinterpret_cast<std::byte*>(again.data()), DType::kF32, {}});
  EXPECT_NEAR(static_cast<double>(first[0]), expected, 1e-6 * expected);
  EXPECT_EQ(first, again);
}

}  // namespace
}  // namespace tandem
