#include "runtime/ops/dim_sum.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

namespace tandem {
namespace {

constexpr size_t kMostFactors = 8, kLongestText = 160;

// Calls part(text, separator before it) for what stands between the separators outside of parentheses. False: parentheses do not
// match.
template <class Part>
bool split(std::string_view text, std::initializer_list<std::string_view> separators, const Part& part) {
  int depth = 0;
  size_t begin = 0;
  std::string_view before;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += (text[i] == '(') - (text[i] == ')');
    if (depth < 0) return false;
    for (const std::string_view separator : separators) {
      if (depth > 0 || !text.substr(i).starts_with(separator)) continue;
      part(text.substr(begin, i - begin), before);
      before = separator;
      begin = i + separator.size();
      i = begin - 1;
      break;
    }
  }
  part(text.substr(begin), before);
  return depth == 0;
}

void add_term(Sum& sum, std::string_view term, int64_t coefficient) {
  Factors factors;
  split(term, {"*"}, [&](std::string_view factor, std::string_view) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(factor.data(), factor.data() + factor.size(), number);
    if (error == std::errc() && end == factor.data() + factor.size())
      sum.overflows |= __builtin_mul_overflow(coefficient, number, &coefficient);
    else
      factors.emplace_back(factor);
  });
  std::ranges::sort(factors);
  sum.add(factors, coefficient);
}

}  // namespace

Sum multiplied(const Sum& a, const Sum& b) {
  Sum result;
  result.overflows = a.overflows || b.overflows;
  for (const auto& [left, c] : a.terms) {
    for (const auto& [right, d] : b.terms) {
      Factors factors;
      std::ranges::merge(left, right, std::back_inserter(factors));
      int64_t coefficient = 0;
      result.overflows |= __builtin_mul_overflow(c, d, &coefficient);
      result.add(factors, coefficient);
    }
  }
  return result;
}

Sum read_sum(const Dim& dim) {
  Sum sum;
  if (dim.symbol.empty()) {
    if (dim.size != 0) sum.add_number(dim.size);
    return sum;
  }
  std::string_view text = dim.symbol;
  const bool negative = text.size() > 1 && text[0] == '-';
  const bool well_formed = split(text.substr(negative), {" + ", " - "}, [&](std::string_view term, std::string_view before) {
    const bool minus = before.empty() ? negative : before == " - ";
    add_term(sum, term, minus ? -1 : 1);
  });
  if (well_formed) return sum;
  sum = {};
  sum.add(Factors{dim.symbol}, 1);
  return sum;
}

bool is_unknown(const Dim& dim) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return dim == Dim() || (!dim.known() && std::ranges::none_of(dim.symbol, is_letter));
}

std::string text_of(const Sum& sum) {
  std::string text;
  const auto write = [&](const Factors& factors, int64_t coefficient) {
    const bool minus = coefficient < 0;
    text += text.empty() ? (minus ? "-" : "") : minus ? " - " : " + ";
    const std::string number = std::to_string(minus ? -coefficient : coefficient);
    if (factors.empty() || number != "1") text += number;
    for (size_t i = 0; i < factors.size(); ++i) text += (i > 0 || number != "1" ? "*" : "") + factors[i];
  };
  for (const auto& [factors, coefficient] : sum.terms)
    if (!factors.empty()) write(factors, coefficient);
  if (sum.constant() != 0) write({}, sum.constant());
  return text;
}

Dim to_dim(const Sum& sum) {
  if (sum.overflows || sum.terms.size() > kMostTerms) return {};
  if (sum.is_number()) return sum.constant() < 0 ? Dim() : Dim(sum.constant());
  for (const auto& [factors, coefficient] : sum.terms)
    if (factors.size() > kMostFactors || coefficient == std::numeric_limits<int64_t>::min()) return {};
  std::string text = text_of(sum);
  return text.size() > kLongestText ? Dim() : Dim(std::move(text));
}

}  // namespace tandem
