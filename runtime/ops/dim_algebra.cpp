#include "runtime/ops/dim_algebra.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

#include "runtime/ops/dim_sum.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

// Symbols are sizes, and the other atoms are not negative by what they are, or by how they were made.
bool atom_never_negative(const std::string& atom) { return atom.find("floor(") != 0 || atom.find('-') == std::string::npos; }

bool adds_only(const Sum& sum) {
  return !sum.overflows && std::ranges::all_of(sum.terms, [](const auto& term) {
    return term.second > 0 && std::ranges::all_of(term.first, atom_never_negative);
  });
}

// a - max(0, b) is not negative if neither a nor a - b is: the lesser of two sizes, as slice_end() writes it.
bool never_negative(const Sum& sum) {
  if (adds_only(sum)) return true;
  const auto taken = std::ranges::find_if(sum.terms, [](const auto& term) { return term.second < 0; });
  if (taken == sum.terms.end() || taken->second != -1 || taken->first.size() != 1) return false;
  const std::string& atom = taken->first[0];
  if (!atom.starts_with("max(0, ") || !atom.ends_with(")")) return false;
  Sum rest = sum;
  rest.terms.erase(taken->first);
  Sum room = rest;
  room.add_multiple(read_sum(Dim(atom.substr(7, atom.size() - 8))), -1);
  return adds_only(rest) && adds_only(room);
}

// If `atom` is "floor((sum)/number)" or "floor(symbol/number)": sum and number.
struct Floor {
  Sum sum;
  int64_t by = 0;
};
std::optional<Floor> read_floor(std::string_view atom) {
  if (!atom.starts_with("floor(") || !atom.ends_with(")")) return std::nullopt;
  atom = atom.substr(6, atom.size() - 7);
  const size_t slash = atom.rfind('/');
  if (slash == atom.npos) return std::nullopt;
  std::string_view inner = atom.substr(0, slash);
  const std::string_view digits = atom.substr(slash + 1);
  Floor floor;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), floor.by);
  if (error != std::errc() || end != digits.data() + digits.size() || floor.by <= 0) return std::nullopt;
  if (inner.starts_with("(") && inner.ends_with(")")) inner = inner.substr(1, inner.size() - 2);
  floor.sum = read_sum(Dim(std::string(inner)));
  return floor;
}

// The floor that `sum` is, if it is one and nothing else.
std::optional<Floor> lone_floor(const Sum& sum) {
  const auto& [factors, coefficient] = *sum.terms.begin();
  if (sum.terms.size() != 1 || coefficient != 1 || factors.size() != 1) return std::nullopt;
  return read_floor(factors[0]);
}

int64_t floor_of(int64_t a, int64_t by) { return a / by - (a % by < 0); }

// floor((floor(s/n) + added)/by) is floor((s + added n)/(n by)).
Dim floor_of_floor(const Floor& inner, int64_t added, int64_t by) {
  int64_t shift = 0, divisor = 0;
  if (__builtin_mul_overflow(added, inner.by, &shift) || __builtin_mul_overflow(by, inner.by, &divisor)) return {};
  Sum sum = inner.sum;
  sum.add_number(shift);
  return floor_quotient(to_dim(sum), divisor);
}

// What `part` times is `whole`; nothing if there is no such product of one term.
std::optional<Sum> term_quotient(const std::pair<const Factors, int64_t>& whole, const std::pair<const Factors, int64_t>& part) {
  const bool least = whole.second == std::numeric_limits<int64_t>::min();  // divided by -1 it would overflow
  if (least || whole.second % part.second != 0 || !std::ranges::includes(whole.first, part.first)) return std::nullopt;
  Factors rest;
  std::ranges::set_difference(whole.first, part.first, std::back_inserter(rest));
  Sum result;
  result.add(rest, whole.second / part.second);
  return result;
}

}  // namespace

Dim product(std::span<const Dim> dims) {
  if (std::ranges::any_of(dims, is_unknown)) return {};
  Sum all;
  all.add_number(1);
  bool has_symbol = false;
  for (const Dim& dim : dims) {
    has_symbol |= !dim.symbol.empty();
    all = multiplied(all, read_sum(dim));
    if (all.terms.size() > kMostTerms) return {};
  }
  require(!all.overflows || has_symbol, "a product of dimensions is too large", to_string(Dims(dims.begin(), dims.end())));
  return to_dim(all);
}

Dim quotient(const Dim& dividend, const Dim& divisor) {
  if (is_unknown(dividend) || is_unknown(divisor)) return {};
  const Sum whole = read_sum(dividend), part = read_sum(divisor);
  if (whole.overflows || part.overflows || part.terms.empty()) return {};
  Sum rest = whole, result;
  // Long division by one term of the divisor: exact, or nothing.
  for (size_t steps = 0; !rest.terms.empty(); ++steps) {
    if (steps > kMostTerms) return {};
    std::optional<Sum> next;
    for (const auto& term : rest.terms)
      if (next = term_quotient(term, *part.terms.rbegin()); next) break;
    if (!next) return {};
    result.add_multiple(*next, 1);
    rest.add_multiple(multiplied(*next, part), -1);
    if (rest.overflows) return {};
  }
  return to_dim(result);
}

Dim sum(const Dim& a, const Dim& b) {
  if (is_unknown(a) || is_unknown(b)) return {};
  Sum result = read_sum(a);
  result.add_multiple(read_sum(b), 1);
  return to_dim(result);
}

Dim difference(const Dim& a, const Dim& b) {
  if (is_unknown(a) || is_unknown(b)) return {};
  Sum result = read_sum(a);
  result.add_multiple(read_sum(b), -1);
  return to_dim(result);
}

Dim shifted(const Dim& a, int64_t by) {
  if (is_unknown(a)) return {};
  Sum result = read_sum(a);
  result.add_number(by);
  return to_dim(result);
}

Dim floor_quotient(const Dim& a, int64_t by) {
  if (is_unknown(a) || by == 1) return a;
  const Sum whole = read_sum(a);
  if (whole.overflows) return {};
  // What `by` divides comes out of the floor.
  Sum result, rest;
  for (const auto& [factors, coefficient] : whole.terms) {
    if (factors.empty()) continue;
    const bool divides = coefficient % by == 0;
    (divides ? result : rest).add(factors, divides ? coefficient / by : coefficient);
  }
  const int64_t quotient = floor_of(whole.constant(), by), left = whole.constant() - quotient * by;
  result.add_number(quotient);
  if (rest.terms.empty()) return to_dim(result);
  if (const auto inner = lone_floor(rest)) {
    const Dim merged = floor_of_floor(*inner, left, by);
    if (is_unknown(merged)) return {};
    result.add_multiple(read_sum(merged), 1);
    return to_dim(result);
  }
  rest.add_number(left);
  const std::string inner = text_of(rest);
  const bool plain = rest.terms.size() == 1 && rest.terms.begin()->second == 1 && rest.terms.begin()->first.size() == 1;
  result.add(Factors{"floor(" + (plain ? inner : "(" + inner + ")") + "/" + std::to_string(by) + ")"}, 1);
  return to_dim(result);
}

bool never_negative(const Dim& a) { return !is_unknown(a) && never_negative(read_sum(a)); }

Dim clamped(const Dim& a) {
  if (is_unknown(a) || never_negative(a)) return a;
  Sum result = read_sum(a);
  if (result.overflows) return {};
  Sum negated;
  negated.add_multiple(result, -1);
  if (never_negative(negated)) return Dim(int64_t{0});
  Sum atom;
  atom.add(Factors{"max(0, " + text_of(result) + ")"}, 1);
  return to_dim(atom);
}

Dim slice_end(const Dim& size, const Dim& at) {
  if (is_unknown(size)) return {};
  const Sum whole = read_sum(size);
  Sum place;
  if (at.symbol.empty())
    place.add_number(std::clamp<int64_t>(at.size, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
  else
    place = read_sum(at);
  if (place.constant() == 0) place.terms.erase(Factors());
  if (place.is_number() && place.constant() == std::numeric_limits<int32_t>::max()) return size;
  if (place.is_number() && place.constant() == std::numeric_limits<int32_t>::min()) return Dim(int64_t{0});
  Sum from_begin = whole;
  from_begin.add_multiple(place, 1);
  if (from_begin.is_number() && from_begin.constant() == 0) return Dim(int64_t{0});  // -size, which is 0 for a size of 0
  if (!never_negative(place)) {
    Sum below;  // -place - 1: a place that may be 0 counts from the begin then
    below.add_multiple(place, -1);
    below.add_number(-1);
    if (!never_negative(below)) return {};
    place.add_multiple(whole, 1);
    return clamped(to_dim(place));
  }
  // min(place, size) = size - max(0, size - place)
  Sum room = whole;
  room.add_multiple(place, -1);
  if (room.is_number() && room.constant() < 0) return size;
  return difference(size, clamped(to_dim(room)));
}

}  // namespace tandem
