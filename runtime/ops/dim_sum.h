// A dimension as a sum of products of atoms with whole coefficients: what dim_algebra.cpp computes with. An atom is a symbol,
// "floor(sum/number)" or "max(0, sum)"; text of any other form, as files may bring, is an atom as it stands. Products are
// multiplied out and terms ordered, which makes the text unique.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

constexpr size_t kMostTerms = 8;  // of a sum that becomes a dimension

using Factors = std::vector<std::string>;  // sorted; none: the constant term

struct Sum {
  std::map<Factors, int64_t> terms;  // no coefficient is 0
  bool overflows = false;

  void add(const Factors& factors, int64_t coefficient) {
    int64_t& total = terms[factors];
    overflows |= __builtin_add_overflow(total, coefficient, &total);
    if (total == 0) terms.erase(factors);
  }
  void add_number(int64_t number) { add(Factors(), number); }
  void add_multiple(const Sum& other, int64_t times) {
    overflows |= other.overflows;
    for (const auto& [factors, coefficient] : other.terms) {
      int64_t scaled = 0;
      overflows |= __builtin_mul_overflow(coefficient, times, &scaled);
      add(factors, scaled);
    }
  }
  int64_t constant() const {
    const auto found = terms.find(Factors());
    return found == terms.end() ? 0 : found->second;
  }
  bool is_number() const { return terms.empty() || (terms.size() == 1 && terms.begin()->first.empty()); }
};

Sum multiplied(const Sum& a, const Sum& b);

// Also of "?", "-1", "1": some exporters name a size so that they do not know.
bool is_unknown(const Dim& dim);

// REQUIRES: not the unknown dimension.
Sum read_sum(const Dim& dim);

std::string text_of(const Sum& sum);

// Unknown if the sum overflows, is a negative number, or is long: a chain of ops must not write text without end.
Dim to_dim(const Sum& sum);

}  // namespace tandem
