// The checked-in list of cases that are known to fail, or that the usual tolerance does not fit. One a line, in words:
//
//   # comment
//   test_name  fails      why, and what it would take
//   test_name  random     the case's values cannot be had again: only types and shapes are compared, and it counts as skipped
//   test_name  atol=1e-5  why (also rtol=...)
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

struct KnownCase {
  bool fails = false;
  bool random = false;
  std::optional<double> absolute = {}, relative = {};
  std::string reason = {};
};

using KnownCases = std::map<std::string, KnownCase, std::less<>>;

// Throws InvalidArgument naming the line: an unknown verdict, no reason, a case listed twice.
KnownCases parse_known_cases(std::string_view text);

}  // namespace tandem
