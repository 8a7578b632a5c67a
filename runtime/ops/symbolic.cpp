// Products of symbolic dimensions, kept as text in a dimension's symbol: the number (if it is not 1) and the symbols, sorted, between '*'.
// Two equal products are equal text, so that whoever compares dimensions need not know of them.
#include "runtime/ops/symbolic.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace tandem {
namespace {

constexpr size_t kMostSymbols = 8;  // of one product: a chain of reshapes must not write text without end

struct Monomial {
  int64_t factor = 1;
  std::vector<std::string> symbols;  // sorted
  bool overflows = false;

  explicit Monomial(std::span<const Dim> dims) {
    for (const Dim& dim : dims) multiply(dim);
    std::ranges::sort(symbols);
  }

 private:
  void multiply(int64_t number) { overflows |= __builtin_mul_overflow(factor, number, &factor); }
  void multiply(std::string_view part) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error == std::errc() && end == part.data() + part.size())
      multiply(number);
    else
      symbols.emplace_back(part);
  }
  void multiply(const Dim& dim) {
    if (dim.known()) return multiply(dim.size);
    std::string_view rest = dim.symbol;
    for (size_t star; (star = rest.find('*')) != rest.npos; rest.remove_prefix(star + 1)) multiply(rest.substr(0, star));
    multiply(rest);
  }
};

bool is_unknown(const Dim& dim) { return dim == Dim(); }

Dim to_dim(int64_t factor, std::span<const std::string> symbols) {
  if (symbols.empty() || factor == 0) return Dim(factor);
  if (symbols.size() > kMostSymbols) return {};
  std::string text = factor == 1 ? "" : std::to_string(factor);
  for (const std::string& symbol : symbols) text += (text.empty() ? "" : "*") + symbol;
  return Dim(std::move(text));
}

}  // namespace

Dim product(std::span<const Dim> dims) {
  if (std::ranges::any_of(dims, is_unknown)) return {};
  const Monomial all(dims);
  if (all.overflows) {
    require(!all.symbols.empty(), "a product of dimensions is too large", to_string(Dims(dims.begin(), dims.end())));
    return {};
  }
  return to_dim(all.factor, all.symbols);
}

Dim quotient(const Dim& dividend, const Dim& divisor) {
  if (is_unknown(dividend) || is_unknown(divisor)) return {};
  const Monomial whole({&dividend, 1}), part({&divisor, 1});
  if (whole.overflows || part.overflows || part.factor == 0 || whole.factor % part.factor != 0 ||
      !std::ranges::includes(whole.symbols, part.symbols))
    return {};
  std::vector<std::string> rest;
  std::ranges::set_difference(whole.symbols, part.symbols, std::back_inserter(rest));
  return to_dim(whole.factor / part.factor, rest);
}

}  // namespace tandem
