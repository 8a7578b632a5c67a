// The CUDA twins of the encoders of numeric columns against the CPU's, with tables that need several launches.
#include "kernels/api/encoders.h"

#include <limits>
#include <numeric>

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

// 1000 features: three pieces of a table.
const Shape kShapes[] = {{7}, {1, 3}, {40, 5}, {3, 1000}, {4, 3, 5}, {0, 4}};

template <class T>
Values<T> scalar(T value) {
  return Values<T>(Shape{}, std::vector<T>{value});
}

// Small integers, so that values repeat; floats get a NaN now and then.
template <class T>
Values<T> column(const Shape& shape, unsigned seed) {
  Values<T> x = Values<T>::random(shape, seed, 4);
  for (size_t i = 0; i < x.data.size(); ++i) {
    x.data[i] = static_cast<T>(static_cast<int64_t>(x.data[i]));
    if constexpr (std::is_floating_point_v<T>)
      if (i % 11 == 3) x.data[i] = std::numeric_limits<T>::quiet_NaN();
  }
  return x;
}

// run(kernels' device, x, y): the outputs are equal to the tolerance.
template <class Y, class T, class Cpu, class Gpu>
void expect_equal(const Values<T>& x, const Shape& y_shape, Cpu on_cpu, Gpu on_gpu) {
  Values<Y> expected(y_shape);
  on_cpu(x.view(), expected.view());
  DeviceTensor dx(x), dy(Values<Y>::random(y_shape, 99));
  on_gpu(std::as_const(dx).view(), dy.view());
  expect_twins(dy.template values<Y>(), expected);
}

template <class T>
void expect_imputed(T replaced) {
  for (const Shape& shape : kShapes)
    for (unsigned seed : kSeeds)
      for (int64_t given : {int64_t{1}, feature_view(shape).length}) {
        const auto imputed = Values<T>::random({given}, seed + 9, 50);
        const auto missing = scalar(replaced);
        expect_equal<T>(
            column<T>(shape, seed), shape,
            [&](ConstTensorView x, TensorView y) { cpu::impute(Context(0), x, y, missing.view(), imputed.view()); },
            [&](ConstTensorView x, TensorView y) { cuda::impute({}, x, y, missing.view(), imputed.view()); });
      }
}
TEST(CudaImpute, EqualsItsTwin) {
  expect_imputed<float>(std::numeric_limits<float>::quiet_NaN());
  expect_imputed<double>(2);
  expect_imputed<int32_t>(-1);
  expect_imputed<int64_t>(0);
}

template <class T>
void expect_scaled() {
  for (const Shape& shape : kShapes)
    for (unsigned seed : kSeeds) {
      const int64_t features = feature_view(shape).length;
      for (const auto& [offsets, scales] :
           {std::pair(features, features), std::pair(int64_t{1}, features), std::pair(int64_t{1}, int64_t{1})}) {
        const auto offset = Values<float>::random({offsets}, seed + 1), scale = Values<float>::random({scales}, seed + 2);
        expect_equal<float>(
            Values<T>::random(shape, seed, 9), shape,
            [&](ConstTensorView x, TensorView y) { cpu::scale_features(Context(0), x, y, offset.data, scale.data); },
            [&](ConstTensorView x, TensorView y) { cuda::scale_features({}, x, y, offset.data, scale.data); });
      }
    }
}
TEST(CudaScaleFeatures, EqualsItsTwin) {
  expect_scaled<float>();
  expect_scaled<double>();
  expect_scaled<int64_t>();
  expect_scaled<int32_t>();
}

TEST(CudaScaleFeatures, RefusesAnotherNumberOfValuesThanFeatures) {
  DeviceTensor x(Values<float>(Shape{2, 3})), y(Values<float>(Shape{2, 3}));
  const std::vector<float> two = {1, 2}, one = {1};
  EXPECT_THROW(cuda::scale_features({}, x.view(), y.view(), two, one), Error);
}

template <class T>
void expect_normalized() {
  for (const Shape& shape : kShapes)
    for (unsigned seed : kSeeds)
      for (FeatureNorm norm : {FeatureNorm::kMax, FeatureNorm::kL1, FeatureNorm::kL2})
        expect_equal<float>(
            Values<T>::random(shape, seed, 9), shape,
            [&](ConstTensorView x, TensorView y) { cpu::normalize_features(Context(0), x, y, norm); },
            [&](ConstTensorView x, TensorView y) { cuda::normalize_features({}, x, y, norm); });
}
TEST(CudaNormalizeFeatures, EqualsItsTwin) {
  expect_normalized<float>();
  expect_normalized<double>();
  expect_normalized<int64_t>();
}
TEST(CudaNormalizeFeatures, ANormOfZeroDividesNothing) {
  expect_equal<float>(
      Values<float>(Shape{3, 4}), {3, 4},
      [](ConstTensorView x, TensorView y) { cpu::normalize_features(Context(0), x, y, FeatureNorm::kL2); },
      [](ConstTensorView x, TensorView y) { cuda::normalize_features({}, x, y, FeatureNorm::kL2); });
}

template <class T>
void expect_binarized() {
  for (const Shape& shape : kShapes)
    for (float threshold : {0.0f, 1.0f, -2.5f})
      expect_equal<T>(
          column<T>(shape, 1), shape, [&](ConstTensorView x, TensorView y) { cpu::binarize(Context(0), x, y, threshold); },
          [&](ConstTensorView x, TensorView y) { cuda::binarize({}, x, y, threshold); });
}
TEST(CudaBinarize, EqualsItsTwin) {
  expect_binarized<float>();
  expect_binarized<double>();
  expect_binarized<int64_t>();
  expect_binarized<int32_t>();
}

template <class T>
void expect_half_features() {
  const Halves<T> x({20, 30}, 1);
  const auto offset = Values<float>::random({30}, 2), scale = Values<float>::random({30}, 3);
  Values<float> expected(x.wide.shape);
  cpu::scale_features(Context(0), x.wide.view(), expected.view(), offset.data, scale.data);
  DeviceTensor dx(x.half), dy(expected);
  cuda::scale_features({}, dx.view(), dy.view(), offset.data, scale.data);
  expect_twins(dy.template values<float>(), expected);
  cpu::normalize_features(Context(0), x.wide.view(), expected.view(), FeatureNorm::kL2);
  cuda::normalize_features({}, dx.view(), dy.view(), FeatureNorm::kL2);
  expect_twins(dy.template values<float>(), expected);
}
TEST(CudaScaleFeatures, ReadsHalves) {
  expect_half_features<F16>();
  expect_half_features<BF16>();
}

// Keys in no order, some of them twice.
template <class T>
Values<T> keys_of(int64_t n) {
  Values<T> keys(Shape{n});
  for (int64_t i = 0; i < n; ++i) keys[i] = static_cast<T>(i * 7 % n - n / 2);
  if (n > 3) keys[n - 1] = keys[1];
  return keys;
}

template <class T>
void expect_categories(int64_t categories) {
  const KeyIndex index(keys_of<int64_t>(categories).view());
  for (unsigned seed : kSeeds) {
    auto x = Values<T>::random({13, 2}, seed, static_cast<double>(categories) / 3);
    if constexpr (std::is_floating_point_v<T>) {
      x[0] = std::numeric_limits<T>::quiet_NaN();
      x[1] = T(1e30);
      x[2] = T(1.75);
    }
    expect_equal<float>(
        x, {13, 2, categories},
        [&](ConstTensorView in, TensorView out) { cpu::one_hot_encode(Context(0), in, out, index, false); },
        [&](ConstTensorView in, TensorView out) { cuda::one_hot_encode({}, in, out, index, false); });
  }
}
TEST(CudaOneHotEncode, EqualsItsTwin) {
  for (int64_t categories : {1, 5, 900}) {
    expect_categories<float>(categories);
    expect_categories<double>(categories);
    expect_categories<int64_t>(categories);
    expect_categories<int32_t>(categories);
  }
}

// What the CPU refuses cannot be refused on a GPU, so it is made visible.
TEST(CudaOneHotEncode, AnUnknownCategoryShowsAsNaNWhereItIsRefused) {
  const KeyIndex index(Values<int64_t>({2}, {4, 9}).view());
  DeviceTensor x(Values<int64_t>({2}, {9, 5})), y(Values<float>(Shape{2, 2}));
  cuda::one_hot_encode({}, x.view(), y.view(), index, true);
  const auto encoded = y.values<float>();
  EXPECT_EQ(encoded[0], 0);
  EXPECT_EQ(encoded[1], 1);
  EXPECT_TRUE(std::isnan(encoded[2]) && std::isnan(encoded[3]));
}

template <class Key, class Value>
void expect_labels(int64_t n) {
  Values<Key> keys = keys_of<Key>(n);
  if constexpr (std::is_floating_point_v<Key>)
    if (n > 2) keys[2] = std::numeric_limits<Key>::quiet_NaN();
  const KeyIndex index(keys.view());
  const auto values = Values<Value>::random({n}, 5, 50);
  const auto fallback = scalar(Value(-77));
  for (const Shape& shape : {Shape{40}, Shape{3, 7}, Shape{0}})
    expect_equal<Value>(
        column<Key>(shape, 2), shape,
        [&](ConstTensorView x, TensorView y) { cpu::encode_labels(Context(0), x, y, index, values.view(), fallback.view()); },
        [&](ConstTensorView x, TensorView y) { cuda::encode_labels({}, x, y, index, values.view(), fallback.view()); });
}
TEST(CudaEncodeLabels, EqualsItsTwin) {
  for (int64_t n : {1, 6, 500}) {
    expect_labels<int64_t, float>(n);
    expect_labels<float, int64_t>(n);
    expect_labels<double, double>(n);
    expect_labels<int32_t, int8_t>(n);
    expect_labels<int8_t, int16_t>(n);
  }
}

TEST(CudaVectorizeFeatures, EqualsItsTwin) {
  const auto a = Values<float>::random({9, 3}, 1);
  const auto b = Values<int64_t>::random({9}, 2, 50);
  const auto c = Values<double>::random({9, 2, 2}, 3);
  const auto d = Values<int32_t>::random({9, 1}, 4, 50);
  const auto e = Values<uint8_t>(Shape{9, 2});
  const auto f = Values<int8_t>::random({9, 1}, 5, 20);
  std::vector<ConstTensorView> inputs;
  std::vector<int64_t> widths;
  for (int i = 0; i < 20; ++i)  // 120 columns: two launches
    for (const auto& [view, width] : {std::pair(a.view(), 3), std::pair(b.view(), 1), std::pair(c.view(), 2),
                                      std::pair(d.view(), 4), std::pair(e.view(), 0), std::pair(f.view(), 1)}) {
      inputs.push_back(view);
      widths.push_back(width);
    }
  const int64_t total = std::accumulate(widths.begin(), widths.end(), int64_t{0});
  Values<float> expected({9, total});
  cpu::vectorize_features(Context(0), inputs, expected.view(), widths);
  std::vector<DeviceTensor> memory;
  memory.reserve(inputs.size());
  std::vector<ConstTensorView> device;
  for (ConstTensorView view : inputs) {
    memory.emplace_back(view);
    device.push_back(std::as_const(memory.back()).view());
  }
  DeviceTensor y(Values<float>::random(expected.shape, 99));
  cuda::vectorize_features({}, device, y.view(), widths);
  expect_twins(y.values<float>(), expected);
}

template <class T>
void expect_extracted() {
  const Values<int64_t> indices({4}, {6, 0, 3, 3});
  const DeviceTensor device_indices(indices);
  expect_equal<T>(
      Values<T>::random({5, 2, 7}, 1, 50), {5, 2, 4},
      [&](ConstTensorView x, TensorView y) { cpu::extract_features(Context(0), x, indices.view(), y); },
      [&](ConstTensorView x, TensorView y) { cuda::extract_features({}, x, device_indices.view(), y); });
}
TEST(CudaExtractFeatures, EqualsItsTwin) {
  expect_extracted<float>();
  expect_extracted<int64_t>();
  expect_extracted<int8_t>();
}

}  // namespace
}  // namespace tandem::test
