// These run once a row on a handful of columns: plain loops, one pass each, threads share rows only where a batch is large.
#include "kernels/api/encoders.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tandem {

KeyIndex::KeyIndex(ConstTensorView keys) : holds_text_(keys.dtype == DType::kString), size_(keys.elements()) {
  if (holds_text_) {
    const auto texts = keys.as<std::string_view>();
    texts_.assign(texts.begin(), texts.end());
    by_text_.reserve(texts_.size());
    for (size_t i = 0; i < texts_.size(); ++i) by_text_.emplace(texts_[i], static_cast<int64_t>(i));
    return;
  }
  visit_number(keys.dtype, [&]<class T>() {
    const auto numbers = keys.as<T>();
    by_number_.reserve(numbers.size());
    patterns_.reserve(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      patterns_.push_back(key_pattern(numbers[i]));
      by_number_.emplace(patterns_.back(), static_cast<int64_t>(i));
    }
  });
}

namespace cpu {
namespace {

constexpr int64_t kElementsPerThread = 16 * 1024;  // below this a second thread costs more than it brings

// Runs body(i) for i in [0, n).
template <class Body>
void for_each(const KernelContext& context, int64_t n, Body body) {
#pragma omp parallel for num_threads(context.threads) if (n >= kElementsPerThread * context.threads)
  for (int64_t i = 0; i < n; ++i) body(i);
}

// Of values given once or once a feature: the one for element i of x.
template <class T>
struct PerFeature {
  std::span<const T> values;
  AxisView view;
  const T& operator()(int64_t i) const {
    return values[values.size() == 1 ? 0 : static_cast<size_t>(i / view.inner % view.length)];
  }
};

template <class T>
PerFeature<T> per_feature(std::span<const T> values, const Shape& shape) {
  const AxisView view = feature_view(shape);
  require(values.size() == 1 || static_cast<int64_t>(values.size()) == view.length,
          "one value or one a feature is needed (values, features)", values.size(), view.length);
  return {values, view};
}

template <class T>
float divisor_of(const T* x, const AxisView& view, FeatureNorm norm) {
  double sum = 0;
  T peak = std::numeric_limits<T>::lowest();
  for (int64_t i = 0; i < view.length; ++i) {
    const T value = x[i * view.inner];
    const double number = static_cast<double>(value);
    peak = std::max(peak, value);
    sum += norm == FeatureNorm::kL1 ? std::abs(number) : number * number;
  }
  const float divisor = static_cast<float>(norm == FeatureNorm::kMax  ? static_cast<double>(peak)
                                           : norm == FeatureNorm::kL1 ? sum
                                                                      : std::sqrt(sum));
  return divisor == 0 ? 1 : divisor;
}

}  // namespace

void impute(const KernelContext& context, ConstTensorView x, TensorView y, ConstTensorView replaced, ConstTensorView imputed) {
  visit_number(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    const T missing = replaced.as<T>()[0];
    const bool missing_is_nan = missing != missing;
    const auto substitute = per_feature(imputed.as<T>(), x.shape);
    for_each(context, x.elements(), [&](int64_t i) {
      const bool absent = in[i] == missing || (missing_is_nan && in[i] != in[i]);
      out[i] = absent ? substitute(i) : in[i];
    });
  });
}

void scale_features(const KernelContext& context, ConstTensorView x, TensorView y, std::span<const float> offset,
                    std::span<const float> scale) {
  const auto offsets = per_feature(offset, x.shape), scales = per_feature(scale, x.shape);
  visit_number(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    float* out = y.as<float>().data();
    for_each(context, x.elements(), [&](int64_t i) { out[i] = (static_cast<float>(in[i]) - offsets(i)) * scales(i); });
  });
}

void normalize_features(const KernelContext& context, ConstTensorView x, TensorView y, FeatureNorm norm) {
  const AxisView view = feature_view(x.shape);
  visit_number(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    float* out = y.as<float>().data();
    for_each(context, view.outer * view.inner, [&](int64_t r) {
      const int64_t first = r / view.inner * view.length * view.inner + r % view.inner;
      const float divisor = divisor_of(in + first, view, norm);
      for (int64_t i = 0; i < view.length; ++i)
        out[first + i * view.inner] = static_cast<float>(in[first + i * view.inner]) / divisor;
    });
  });
}

void binarize(const KernelContext& context, ConstTensorView x, TensorView y, float threshold) {
  visit_number(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    for_each(context, x.elements(),
             [&](int64_t i) { out[i] = static_cast<double>(in[i]) > static_cast<double>(threshold) ? 1 : 0; });
  });
}

void one_hot_encode(const KernelContext&, ConstTensorView x, TensorView y, const KeyIndex& categories, bool refuse_unknown) {
  const auto out = y.as<float>();
  std::fill(out.begin(), out.end(), 0.0f);
  const int64_t width = categories.size();
  const auto mark = [&](int64_t i, int64_t position, const auto& value) {
    require(position != KeyIndex::kAbsent || !refuse_unknown, "[OneHotEncoder] unknown category, and zeros = 0 (element, value)",
            i, value);
    if (position != KeyIndex::kAbsent) out[static_cast<size_t>(i * width + position)] = 1;
  };
  if (x.dtype == DType::kString) {
    const auto in = x.as<std::string_view>();
    for (int64_t i = 0; i < x.elements(); ++i) mark(i, categories.find(in[static_cast<size_t>(i)]), in[static_cast<size_t>(i)]);
    return;
  }
  visit_number(x.dtype, [&]<class T>() {
    const auto in = x.as<T>();
    for (int64_t i = 0; i < x.elements(); ++i) {
      const T value = in[static_cast<size_t>(i)];
      // Beyond 2^63 the cast is undefined; no category is there, nor is NaN one.
      const bool castable = std::is_integral_v<T> || (value > T(-0x1p63) && value < T(0x1p63));
      mark(i, castable ? categories.find(static_cast<int64_t>(value)) : KeyIndex::kAbsent, value);
    }
  });
}

void encode_labels(const KernelContext& context, ConstTensorView x, TensorView y, const KeyIndex& keys, ConstTensorView values,
                   ConstTensorView fallback) {
  visit_any(x.dtype, [&]<class Key>() {
    visit_size(y.dtype, [&]<class Value>() {
      const Key* in = x.as<Key>().data();
      const auto table = values.raw<Value>();
      const Value other = fallback.raw<Value>()[0];
      Value* out = y.raw<Value>().data();
      for_each(context, x.elements(), [&](int64_t i) {
        const int64_t position = keys.find(in[i]);
        out[i] = position == KeyIndex::kAbsent ? other : table[static_cast<size_t>(position)];
      });
    });
  });
}

void vectorize_features(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView y,
                        std::span<const int64_t> widths) {
  const int64_t rows = y.shape[0], row_width = y.shape[1];
  int64_t column = 0;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const ConstTensorView& x = inputs[k];
    const int64_t in_width = rows == 0 ? 0 : x.elements() / rows, width = k < widths.size() ? widths[k] : in_width,
                  kept = std::min(width, in_width);
    visit_number(x.dtype, [&]<class T>() {
      const T* in = x.as<T>().data();
      float* out = y.as<float>().data() + column;
      for_each(context, rows, [&](int64_t r) {
        for (int64_t c = 0; c < kept; ++c) out[r * row_width + c] = static_cast<float>(in[r * in_width + c]);
        std::fill_n(out + r * row_width + kept, width - kept, 0.0f);
      });
    });
    column += width;
  }
}

void extract_features(const KernelContext& context, ConstTensorView x, ConstTensorView indices, TensorView y) {
  const auto wanted = indices.as<int64_t>();
  const int64_t width = x.shape[x.shape.rank() - 1], kept = indices.elements();
  for (int64_t index : wanted)
    require(index >= 0 && index < width, "[ArrayFeatureExtractor] index is outside the last axis", index, width);
  visit_size(x.dtype, [&]<class T>() {
    const T* in = x.raw<T>().data();
    T* out = y.raw<T>().data();
    for_each(context, kept == 0 ? 0 : y.elements() / kept, [&](int64_t r) {
      for (int64_t c = 0; c < kept; ++c) out[r * kept + c] = in[r * width + wanted[static_cast<size_t>(c)]];
    });
  });
}

}  // namespace cpu
}  // namespace tandem
