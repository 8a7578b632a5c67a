#include "runtime/graph/broadcast_dim.h"

#include <algorithm>
#include <charconv>

namespace tandem {
namespace {

constexpr size_t kLongestText = 160;  // as of other expressions (runtime/ops/dim_sum.h): a chain must not write text without end

// "?" and the like name nothing.
bool is_named(const Dim& dim) {
  return std::ranges::any_of(dim.symbol, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; });
}

// Whether `part` is min(whole, n) for a number n above 1, as a slice of a table writes it. Where min(x, n) is x, they are equal; where it is n,
// x is larger and does not broadcast.
bool is_shortened(const Dim& part, const Dim& whole) {
  const size_t plus = part.symbol.rfind(" + ");
  if (plus == part.symbol.npos || whole.symbol.find_first_of(" *(") != whole.symbol.npos) return false;
  const std::string number = part.symbol.substr(plus + 3);
  int64_t n = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), n);
  if (error != std::errc() || end != number.data() + number.size() || n < 2) return false;
  return part.symbol == "-max(0, -" + whole.symbol + " + " + number + ") + " + number;
}

// Whether `whole` is the broadcast of `part` and something else.
bool holds(const Dim& whole, const Dim& part) {
  return whole.symbol.starts_with("broadcast(" + part.symbol + ", ") ||
         (whole.symbol.starts_with("broadcast(") && whole.symbol.ends_with(", " + part.symbol + ")"));
}

}  // namespace

Dim broadcast_dim(const Dim& a, const Dim& b) {
  if (a.known() || b.known()) return a.known() ? a : b;  // the other one is 1 or the same
  if (!is_named(a) || !is_named(b)) return {};
  if (is_shortened(b, a) || holds(a, b)) return a;
  if (is_shortened(a, b) || holds(b, a)) return b;
  const auto [first, second] = std::minmax(a.symbol, b.symbol);
  std::string text = "broadcast(" + first + ", " + second + ")";
  return text.size() > kLongestText ? Dim() : Dim(std::move(text));
}

}  // namespace tandem
