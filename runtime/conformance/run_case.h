// One test case: import, passes, plan, run, compare.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "runtime/conformance/known_cases.h"
#include "runtime/conformance/test_case.h"

namespace tandem {

enum class CaseStatus : char { kPassed, kFailed, kSkipped };

struct CaseOptions {
  int threads = 1;                                       // of the run
  std::optional<double> l2 = {};                         // Tolerance::l2 of all cases
  std::set<std::string, std::less<>> disabled_passes = {};
};

struct CaseResult {
  CaseStatus status = CaseStatus::kSkipped;
  std::string reason;  // why not passed: one line
  double l2 = 0;       // the largest relative_l2 of an output that was compared
};

// Never throws: whatever happens is the result. Skipped are a case without model or data, and one whose values are random.
CaseResult run_case(const TestCase& test, const KnownCase& known, const CaseOptions& options);

// The op that a case is about: the one of its model, constants aside; that of the case whose expansion into other ops it is
// ("test_gelu_default_1_expanded"); else its kind in brackets.
std::string op_of_case(const TestCase& test);

}  // namespace tandem
