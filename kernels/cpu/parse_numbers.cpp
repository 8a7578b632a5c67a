// std::from_chars and what it leaves out: blanks around, a plus sign, numbers beyond the range of a double.
#include <charconv>
#include <cstdlib>
#include <string>

#include "kernels/api/cast.h"
#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"

namespace tandem::cpu {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  text = text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
  const bool has_plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  return has_plus ? text.substr(1) : text;
}

// The whole text as a T, or false.
template <class T>
bool parse(std::string_view text, T& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if constexpr (std::is_floating_point_v<T>)
    if (error == std::errc::result_out_of_range && stop == end) {
      value = static_cast<T>(std::strtod(std::string(text).c_str(), nullptr));  // 0 or an infinity
      return true;
    }
  return error == std::errc() && stop == end;
}

template <class To>
bool parse_as(std::string_view text, To& value, NarrowRules rules) {
  if constexpr (std::is_floating_point_v<To>) {
    return parse(text, value);
  } else if constexpr (std::is_integral_v<To> && !std::is_same_v<To, bool>) {
    using Wide = std::conditional_t<std::is_signed_v<To>, int64_t, uint64_t>;
    Wide whole;
    if (parse(text, whole)) return value = static_cast<To>(whole), true;
  }
  double number;
  if (!parse(text, number)) return false;
  value = convert<To>(number, rules);
  return true;
}

}  // namespace

void parse_numbers(const KernelContext&, ConstTensorView x, TensorView y, NarrowRules rules) {
  const auto texts = x.as<std::string_view>();
  visit_convertible(y.dtype, [&]<class To>() {
    const auto out = y.as<To>();
    for (size_t i = 0; i < texts.size(); ++i)
      require(parse_as<To>(trimmed(texts[i]), out[i], rules), "a text is no number (element, text, type)", i, texts[i],
              name(y.dtype));
  });
}

}  // namespace tandem::cpu
