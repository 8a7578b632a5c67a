// Batch and layer normalization against plain loops in double; their gradients against central differences of those loops.
#include <functional>

#include "kernels/api/batch_norm.h"
#include "kernels/api/layer_norm.h"
#include "tests/kernels/random_tensor.h"

namespace tandem {
namespace {

using test::Context;
using test::expect_near;
using test::Values;
using Numbers = std::vector<double>;

constexpr double kEpsilon = 1e-3;

struct Moments {
  double mean = 0, var = 0;
};

// Of the elements x[index(0)], ..., x[index(n - 1)].
Moments moments(const Numbers& x, int64_t n, const std::function<int64_t(int64_t)>& index) {
  Moments of;
  for (int64_t i = 0; i < n; ++i) of.mean += x[static_cast<size_t>(index(i))] / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) of.var += std::pow(x[static_cast<size_t>(index(i))] - of.mean, 2) / static_cast<double>(n);
  return of;
}

Numbers reference_batch_norm(const Shape& shape, const Numbers& x, const Numbers& scale, const Numbers& bias, const Numbers* mean,
                             const Numbers* var) {
  const int64_t channels = shape[1], inner = shape.product(2, shape.rank()), n = shape[0] * inner;
  Numbers y(x.size());
  for (int64_t c = 0; c < channels; ++c) {
    const auto index = [&](int64_t i) { return (i / inner * channels + c) * inner + i % inner; };
    const auto at = static_cast<size_t>(c);
    const Moments of = mean ? Moments{(*mean)[at], (*var)[at]} : moments(x, n, index);
    for (int64_t i = 0; i < n; ++i) {
      const auto k = static_cast<size_t>(index(i));
      y[k] = (x[k] - of.mean) / std::sqrt(of.var + kEpsilon) * scale[at] + bias[at];
    }
  }
  return y;
}

Numbers reference_layer_norm(int64_t rows, int64_t length, const Numbers& x, const Numbers& scale, const Numbers& bias) {
  Numbers y(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    const Moments of = moments(x, length, [&](int64_t i) { return r * length + i; });
    for (int64_t i = 0; i < length; ++i) {
      const auto k = static_cast<size_t>(r * length + i), c = static_cast<size_t>(i);
      y[k] = (x[k] - of.mean) / std::sqrt(of.var + kEpsilon) * scale[c] + bias[c];
    }
  }
  return y;
}

// d(sum of dy * f)/d(at) for every element of `at`, which f reads, by central differences.
Numbers differences(Numbers& at, const Numbers& dy, const std::function<Numbers()>& f) {
  constexpr double kStep = 1e-5;
  Numbers grad;
  for (double& value : at) {
    const double kept = value;
    double change = 0;
    value = kept + kStep;
    const Numbers above = f();
    value = kept - kStep;
    const Numbers below = f();
    value = kept;
    for (size_t i = 0; i < dy.size(); ++i) change += dy[i] * (above[i] - below[i]);
    grad.push_back(change / (2 * kStep));
  }
  return grad;
}

constexpr double kDifferenceTolerance = 1e-7;

template <class T>
void check_batch_norm(const Shape& shape, int threads) {
  const Shape channels{shape[1]};
  const Values<T> x = Values<T>::random(shape, 1), scale = Values<T>::random(channels, 2), bias = Values<T>::random(channels, 3);
  Values<T> mean = Values<T>::random(channels, 4), var(channels), y(shape), new_mean(channels), new_var(channels);
  for (int64_t c = 0; c < shape[1]; ++c) var[c] = static_cast<T>(0.5 + static_cast<double>(c));
  const Context context(cpu::batch_norm_workspace(shape, dtype_of<T>, threads), threads);
  const BatchNormViews views = {x.view(), scale.view(), bias.view(), std::as_const(mean).view(), std::as_const(var).view()};
  const Numbers means = mean.doubles(), vars = var.doubles();
  cpu::batch_norm(context, views, y.view(), kEpsilon);
  expect_near(y, reference_batch_norm(shape, x.doubles(), scale.doubles(), bias.doubles(), &means, &vars));
  cpu::batch_norm_train(context, views, y.view(), new_mean.view(), new_var.view(), kEpsilon, 0.75);
  expect_near(y, reference_batch_norm(shape, x.doubles(), scale.doubles(), bias.doubles(), nullptr, nullptr));
  const int64_t inner = shape.product(2, shape.rank());
  for (int64_t c = 0; c < shape[1]; ++c) {
    const Moments of =
        moments(x.doubles(), shape[0] * inner, [&](int64_t i) { return (i / inner * shape[1] + c) * inner + i % inner; });
    EXPECT_NEAR(static_cast<double>(new_mean[c]), 0.75 * static_cast<double>(mean[c]) + 0.25 * of.mean, test::kTolerance<T>);
    EXPECT_NEAR(static_cast<double>(new_var[c]), 0.75 * static_cast<double>(var[c]) + 0.25 * of.var, test::kTolerance<T> * 10);
  }
}

TEST(BatchNorm, MatchesLoopsInDouble) {
  for (const Shape& shape : {Shape{4, 3, 5, 2}, Shape{9, 20}, Shape{2, 2, 40}, Shape{3, 1, 1, 1}})
    for (int threads : {1, 3}) {
      SCOPED_TRACE(to_string(shape));
      check_batch_norm<float>(shape, threads);
      check_batch_norm<double>(shape, threads);
    }
}

void check_batch_norm_grad(const Shape& shape, bool own_statistics) {
  const Shape channels{shape[1]};
  const auto x = Values<double>::random(shape, 1), scale = Values<double>::random(channels, 2),
             dy = Values<double>::random(shape, 5);
  const auto mean = Values<double>::random(channels, 6);
  const Values<double> var(channels, Numbers(static_cast<size_t>(shape[1]), 1.5));
  Values<double> dx(shape), dscale(channels), dbias(channels);
  const Context context(cpu::batch_norm_workspace(shape, DType::kF64, 2), 2);
  cpu::batch_norm_grad(context,
                       {.dy = dy.view(),
                        .x = x.view(),
                        .scale = scale.view(),
                        .mean = own_statistics ? ConstTensorView{} : mean.view(),
                        .var = own_statistics ? ConstTensorView{} : var.view(),
                        .dx = dx.view(),
                        .dscale = dscale.view(),
                        .dbias = dbias.view()},
                       kEpsilon);
  Numbers xs = x.data, scales = scale.data, biases(scale.data.size(), 0.0);
  const auto f = [&] {
    return reference_batch_norm(shape, xs, scales, biases, own_statistics ? nullptr : &mean.data,
                                own_statistics ? nullptr : &var.data);
  };
  expect_near(dx, differences(xs, dy.data, f), kDifferenceTolerance);
  expect_near(dscale, differences(scales, dy.data, f), kDifferenceTolerance);
  expect_near(dbias, differences(biases, dy.data, f), kDifferenceTolerance);
}

TEST(BatchNorm, GradientsMatchDifferences) {
  for (const Shape& shape : {Shape{3, 2, 4}, Shape{6, 3}})
    for (bool own_statistics : {false, true}) check_batch_norm_grad(shape, own_statistics);
}

template <class T>
void check_layer_norm(int64_t rows, int64_t length) {
  const Values<T> x = Values<T>::random({rows, length}, 1), scale = Values<T>::random({length}, 2),
                  bias = Values<T>::random({length}, 3);
  Values<T> y(Shape{rows, length});
  Values<float> mean(Shape{rows}), inverse(Shape{rows});
  cpu::layer_norm(Context(0, 2), {x.view(), scale.view(), bias.view(), y.view(), mean.view(), inverse.view()}, rows, length,
                  kEpsilon);
  expect_near(y, reference_layer_norm(rows, length, x.doubles(), scale.doubles(), bias.doubles()), 4 * test::kTolerance<T>);
  for (int64_t r = 0; r < rows; ++r) {
    const Moments of = moments(x.doubles(), length, [&](int64_t i) { return r * length + i; });
    EXPECT_NEAR(static_cast<double>(mean[r]), of.mean, 1e-6);
    EXPECT_NEAR(static_cast<double>(inverse[r]), 1 / std::sqrt(of.var + kEpsilon), 1e-4);
  }
}

TEST(LayerNorm, MatchesLoopsInDouble) {
  for (int64_t rows : {1, 5})
    for (int64_t length : {2, 16, 33, 768}) {
      check_layer_norm<float>(rows, length);
      check_layer_norm<double>(rows, length);
    }
}

TEST(LayerNorm, GradientsMatchDifferences) {
  const int64_t rows = 3, length = 7;
  const auto x = Values<double>::random({rows, length}, 1), scale = Values<double>::random({length}, 2);
  const auto dy = Values<double>::random({rows, length}, 5);
  Values<double> dx(x.shape), dscale(scale.shape), dbias(scale.shape);
  const Context context(cpu::layer_norm_grad_workspace(rows, length, DType::kF64, 2), 2);
  cpu::layer_norm_grad(context, {dy.view(), x.view(), scale.view(), dx.view(), dscale.view(), dbias.view()}, rows, length,
                       kEpsilon);
  Numbers xs = x.data, scales = scale.data, biases(scale.data.size(), 0.0);
  const auto f = [&] { return reference_layer_norm(rows, length, xs, scales, biases); };
  expect_near(dx, differences(xs, dy.data, f), kDifferenceTolerance);
  expect_near(dscale, differences(scales, dy.data, f), kDifferenceTolerance);
  expect_near(dbias, differences(biases, dy.data, f), kDifferenceTolerance);
}

// dx, dscale and dbias one after the other.
template <class T>
Numbers layer_norm_gradients(int threads, int64_t rows, int64_t length, const Values<T>& x, const Values<T>& scale, const Values<T>& dy) {
  Values<T> dx(x.shape), dscale(scale.shape), dbias(scale.shape);
  const Context context(cpu::layer_norm_grad_workspace(rows, length, dtype_of<T>, threads), threads);
  cpu::layer_norm_grad(context, {dy.view(), x.view(), scale.view(), dx.view(), dscale.view(), dbias.view()}, rows, length, kEpsilon);
  Numbers all = dx.doubles();
  for (const Values<T>* part : {&dscale, &dbias})
    for (double value : part->doubles()) all.push_back(value);
  return all;
}

// dx = (g - mean(g) - xhat mean(g xhat)) / deviation with g = dy scale; dscale = sum of dy xhat, dbias = sum of dy over rows.
Numbers reference_layer_norm_gradients(int64_t rows, int64_t length, const Numbers& x, const Numbers& scale, const Numbers& dy) {
  const auto n = static_cast<size_t>(length);
  Numbers all(x.size() + 2 * n);
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    const Moments of = moments(x, length, [&](int64_t i) { return static_cast<int64_t>(r) * length + i; });
    const double deviation = std::sqrt(of.var + kEpsilon);
    double mean_g = 0, mean_g_xhat = 0;
    for (size_t c = 0; c < n; ++c) {
      const double xhat = (x[r * n + c] - of.mean) / deviation, g = dy[r * n + c] * scale[c];
      mean_g += g / static_cast<double>(n), mean_g_xhat += g * xhat / static_cast<double>(n);
      all[x.size() + c] += dy[r * n + c] * xhat, all[x.size() + n + c] += dy[r * n + c];
    }
    for (size_t c = 0; c < n; ++c)
      all[r * n + c] = (dy[r * n + c] * scale[c] - mean_g - (x[r * n + c] - of.mean) / deviation * mean_g_xhat) / deviation;
  }
  return all;
}

template <class T>
void check_layer_norm_gradients(int64_t rows, int64_t length) {
  const auto x = Values<T>::random({rows, length}, 1), scale = Values<T>::random({length}, 2), dy = Values<T>::random({rows, length}, 3);
  const Numbers expected = reference_layer_norm_gradients(rows, length, x.doubles(), scale.doubles(), dy.doubles());
  const Numbers alone = layer_norm_gradients(1, rows, length, x, scale, dy);
  const double tolerance = 4 * test::kTolerance<T> * std::sqrt(static_cast<double>(rows));
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(alone[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << rows << ' ' << length << ' ' << i;
  for (int threads : {2, 3, 7}) EXPECT_EQ(layer_norm_gradients(threads, rows, length, x, scale, dy), alone) << "bits must not depend on threads";
}

TEST(LayerNorm, GradientsMatchTheFormulaInDoubleForAnyNumberOfRowsAndThreads) {
  for (int64_t rows : {1, 3, 16, 17, 300})
    for (int64_t length : {1, 33, 384}) {
      check_layer_norm_gradients<float>(rows, length);
      check_layer_norm_gradients<double>(rows, length);
    }
}

TEST(LayerNorm, RowsWithoutNumbersHaveNoGradients) {
  std::byte memory[1] = {std::byte{77}};  // a view of nothing, but not a missing one
  const TensorView rows{memory, DType::kF32, {3, 0}}, nothing{memory, DType::kF32, {0}};
  const Context context(cpu::layer_norm_grad_workspace(3, 0, DType::kF32, 2), 2);
  cpu::layer_norm_grad(context, {rows, rows, nothing, rows, nothing, nothing}, 3, 0, kEpsilon);
  EXPECT_EQ(memory[0], std::byte{77});
}

TEST(LayerNorm, GradientMayTakeThePlaceOfEitherInput) {
  const int64_t rows = 40, length = 100;
  const auto scale = Values<float>::random({length}, 2);
  const Numbers expected =
      layer_norm_gradients(1, rows, length, Values<float>::random({rows, length}, 1), scale, Values<float>::random({rows, length}, 3));
  for (const bool over_x : {false, true}) {
    auto x = Values<float>::random({rows, length}, 1), dy = Values<float>::random({rows, length}, 3);
    Values<float>& dx = over_x ? x : dy;
    Values<float> dscale(scale.shape), dbias(scale.shape);
    const Context context(cpu::layer_norm_grad_workspace(rows, length, DType::kF32, 2), 2);
    cpu::layer_norm_grad(context, {dy.view(), x.view(), scale.view(), dx.view(), dscale.view(), dbias.view()}, rows, length, kEpsilon);
    for (size_t i = 0; i < dx.data.size(); ++i) ASSERT_EQ(static_cast<double>(dx.data[i]), expected[i]) << over_x << ' ' << i;
    for (size_t c = 0; c < dscale.data.size(); ++c) ASSERT_EQ(static_cast<double>(dscale.data[c]), expected[dx.data.size() + c]) << over_x << ' ' << c;
  }
}

}  // namespace
}  // namespace tandem
