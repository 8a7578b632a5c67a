#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "kernels/api/cast.h"
#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"

namespace tandem::cpu {
namespace {

constexpr int kDigits = 8, kMostDigits = 17;  // as onnxruntime writes floats; as many as any double needs

std::string text_of(double x, int most_digits) {
  if (std::isnan(x)) return "NaN";
  if (std::isinf(x)) return x < 0 ? "-INF" : "INF";
  char text[32];
  for (int digits = kDigits;; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, x);
    if (digits >= most_digits || std::strtod(text, nullptr) == x) return text;
  }
}

}  // namespace

std::vector<std::string> format_numbers(ConstTensorView x) {
  std::vector<std::string> texts;
  texts.reserve(static_cast<size_t>(x.elements()));
  visit_convertible(x.dtype, [&]<class T>() {
    for (const T value : x.as<T>()) {
      if constexpr (kIsNarrowInteger<T>)
        texts.push_back(std::to_string(to_integer(value)));
      else if constexpr (std::is_integral_v<T>)
        texts.push_back(std::to_string(value));
      else
        texts.push_back(text_of(convert<double>(value), std::is_same_v<T, double> ? kMostDigits : kDigits));
    }
  });
  return texts;
}

}  // namespace tandem::cpu
