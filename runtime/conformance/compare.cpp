#include "runtime/conformance/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace tandem {
namespace {

double to_double(float x) { return x; }
double to_double(double x) { return x; }
double to_double(F16 x) { return to_float(x); }
double to_double(BF16 x) { return to_float(x); }

// Calls f<T>() for the C++ type of an element; types without arithmetic of their own are seen as their bits.
template <class F>
decltype(auto) visit_element(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kF32: return f.template operator()<float>();
    case DType::kF64: return f.template operator()<double>();
    case DType::kF16: return f.template operator()<F16>();
    case DType::kBF16: return f.template operator()<BF16>();
    case DType::kI8: return f.template operator()<int8_t>();
    case DType::kI16: return f.template operator()<int16_t>();
    case DType::kI32: return f.template operator()<int32_t>();
    case DType::kI64: return f.template operator()<int64_t>();
    default: return visit_size(dtype, f);
  }
}

template <class T>
concept Floating = requires(T x) {
  { to_double(x) } -> std::same_as<double>;
}
&&!std::integral<T>;

template <class T>
std::string text_of(const T& x) {
  if constexpr (Floating<T>)
    return fmt::format("{:.9g}", to_double(x));
  else if constexpr (std::is_same_v<T, std::string_view>)
    return fmt::format("'{}'", x.substr(0, 60));
  else
    return fmt::format("{}", x);
}

template <class T>
bool agree(const T& got, const T& expected, const Tolerance& tolerance) {
  if constexpr (Floating<T>) {
    const double g = to_double(got), e = to_double(expected);
    if (std::isnan(g) || std::isnan(e)) return std::isnan(g) && std::isnan(e);
    if (std::isinf(g) || std::isinf(e)) return g == e;
    return std::abs(g - e) <= tolerance.absolute + tolerance.relative * std::abs(e);
  } else {
    return got == expected;
  }
}

std::string index_text(int64_t flat, const Shape& shape) {
  std::vector<int64_t> index(static_cast<size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[static_cast<size_t>(axis)] = flat % shape[axis];
    flat /= shape[axis];
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

template <class T>
std::string largest_errors(std::span<const T> got, std::span<const T> expected) {
  if constexpr (Floating<T>) {
    double absolute = 0, relative = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double e = to_double(expected[i]), error = std::abs(to_double(got[i]) - e);
      if (!std::isfinite(error)) continue;
      absolute = std::max(absolute, error);
      if (e != 0) relative = std::max(relative, error / std::abs(e));
    }
    return fmt::format("; largest error {:.3g} absolute, {:.3g} relative", absolute, relative);
  } else {
    return "";
  }
}

// Elements of a type that is only stored are read as an unsigned number of their size.
template <class T>
std::span<const T> elements_of(const Tensor& tensor) {
  return {reinterpret_cast<const T*>(tensor.view().data), static_cast<size_t>(tensor.elements())};
}

template <class T>
double content_l2(std::span<const T> got, std::span<const T> expected) {
  if constexpr (Floating<T>) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double g = to_double(got[i]), e = to_double(expected[i]);
      if (std::isfinite(g) && std::isfinite(e)) {
        error += (g - e) * (g - e);
        norm += e * e;
      } else if (!agree(got[i], expected[i], {})) {
        return std::numeric_limits<double>::infinity();
      }
    }
    return std::sqrt(norm == 0 ? error : error / norm);
  } else {
    return 0;
  }
}

template <class T>
std::string content_difference(const Tensor& got, const Tensor& expected, const Tolerance& tolerance) {
  const auto a = elements_of<T>(got), b = elements_of<T>(expected);
  if (tolerance.l2 && content_l2(a, b) <= *tolerance.l2 && Floating<T>) return "";
  int64_t count = 0, first = 0;
  for (int64_t i = got.elements() - 1; i >= 0; --i) {
    if (agree(a[static_cast<size_t>(i)], b[static_cast<size_t>(i)], tolerance)) continue;
    ++count;
    first = i;
  }
  if (count == 0) return "";
  const auto at = static_cast<size_t>(first);
  return fmt::format("{} of {} elements differ, first {}: expected {}, got {}{}", count, got.elements(),
                     index_text(first, got.shape()), text_of(b[at]), text_of(a[at]), largest_errors(a, b));
}

std::string tensor_type(const Tensor& tensor) { return fmt::format("{}{}", name(tensor.dtype()), to_string(tensor.shape())); }

std::string type_difference(const Tensor& got, const Tensor& expected) {
  if (got.dtype() == expected.dtype() && got.shape() == expected.shape()) return "";
  return fmt::format("expected {}, got {}", tensor_type(expected), tensor_type(got));
}

std::string tensor_difference(const Tensor& got, const Tensor& expected, const Tolerance& tolerance) {
  const std::string types = type_difference(got, expected);
  if (!types.empty()) return types;
  return visit_element(got.dtype(), [&]<class T>() { return content_difference<T>(got, expected, tolerance); });
}

double tensor_l2(const Tensor& got, const Tensor& expected) {
  return visit_element(got.dtype(), [&]<class T>() { return content_l2(elements_of<T>(got), elements_of<T>(expected)); });
}

template <class T>
double content_error(std::span<const T> got, std::span<const T> expected) {
  double largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if constexpr (Floating<T>) {
      const double error = std::abs(to_double(got[i]) - to_double(expected[i]));
      if (std::isfinite(error))
        largest = std::max(largest, error);
      else if (!agree(got[i], expected[i], {}))
        return std::numeric_limits<double>::infinity();
    } else if constexpr (std::is_integral_v<T>) {
      largest = std::max(largest, std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i])));
    }
  }
  return largest;
}

double tensor_error(const Tensor& got, const Tensor& expected) {
  return visit_element(got.dtype(), [&]<class T>() { return content_error(elements_of<T>(got), elements_of<T>(expected)); });
}

// `measure` of each pair of tensors, the largest.
template <class Measure>
double largest_of(const RunValue& got, const RunValue& expected, const Measure& measure) {
  if (!got.is_sequence()) return got.present ? measure(got.tensor, expected.tensor) : 0;
  double largest = 0;
  for (size_t i = 0; i < got.sequence.size(); ++i) largest = std::max(largest, measure(got.sequence[i], expected.sequence[i]));
  return largest;
}

std::string kind_of(const RunValue& value) {
  if (!value.present) return "an empty optional";
  return value.is_sequence() ? fmt::format("a sequence of {}", value.sequence.size()) : "a tensor";
}

// `compare` is asked for each pair of tensors.
template <class Compare>
std::string value_difference(const RunValue& got, const RunValue& expected, const Compare& compare) {
  if (kind_of(got) != kind_of(expected)) return fmt::format("expected {}, got {}", kind_of(expected), kind_of(got));
  if (!got.present) return "";
  if (!got.is_sequence()) return compare(got.tensor, expected.tensor);
  for (size_t i = 0; i < got.sequence.size(); ++i)
    if (const std::string text = compare(got.sequence[i], expected.sequence[i]); !text.empty())
      return fmt::format("element {} of the sequence: {}", i, text);
  return "";
}

}  // namespace

std::string difference(const RunValue& got, const RunValue& expected, const Tolerance& tolerance) {
  return value_difference(got, expected, [&](const Tensor& a, const Tensor& b) { return tensor_difference(a, b, tolerance); });
}

double relative_l2(const RunValue& got, const RunValue& expected) { return largest_of(got, expected, tensor_l2); }

double largest_error(const RunValue& got, const RunValue& expected) { return largest_of(got, expected, tensor_error); }

std::string difference_of_type(const RunValue& got, const RunValue& expected) {
  return value_difference(got, expected, type_difference);
}

}  // namespace tandem
