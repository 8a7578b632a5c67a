#include "runtime/conformance/run_suite.h"

#include <cstring>

#include "runtime/conformance/isolated_tasks.h"

namespace tandem {
namespace {

// A result travels between processes as one byte, its distance and its reason.
std::string pack(const CaseResult& result) {
  std::string text(1 + sizeof(result.l2), static_cast<char>(result.status));
  std::memcpy(text.data() + 1, &result.l2, sizeof(result.l2));
  return text + result.reason;
}

CaseResult unpack(const TaskOutcome& outcome) {
  double l2 = 0;
  if (!outcome.finished || outcome.text.size() < 1 + sizeof(l2)) return {CaseStatus::kFailed, "it " + outcome.text};
  std::memcpy(&l2, outcome.text.data() + 1, sizeof(l2));
  return {static_cast<CaseStatus>(outcome.text[0]), outcome.text.substr(1 + sizeof(l2)), l2};
}

void count(const SuiteCase& test, bool is_listed, SuiteResult& suite) {
  switch (test.result.status) {
    case CaseStatus::kPassed:
      ++suite.passed;
      if (is_listed) suite.stale.push_back(test.name);
      break;
    case CaseStatus::kFailed:
      ++suite.failed;
      suite.unlisted += !is_listed;
      break;
    case CaseStatus::kSkipped: ++suite.skipped; break;
  }
}

}  // namespace

SuiteResult run_suite(const std::filesystem::path& root, const SuiteOptions& options) {
  const std::vector<TestCase> tests = find_test_cases(root, options.filters);
  const auto known_of = [&](const TestCase& test) {
    const auto found = options.known.find(test.name);
    return found == options.known.end() ? KnownCase{} : found->second;
  };
  SuiteResult suite;
  suite.cases.resize(tests.size());
  int64_t done = 0, failed = 0;
  run_isolated(
      tests.size(), options.workers, options.limit,
      [&](size_t i) { return pack(run_case(tests[i], known_of(tests[i]), options.run)); },
      [&](size_t i, const TaskOutcome& outcome) {
        suite.cases[i] = {tests[i].name, tests[i].kind, op_of_case(tests[i]), unpack(outcome), ""};
        failed += suite.cases[i].result.status == CaseStatus::kFailed;
        if (options.progress) options.progress(++done, static_cast<int64_t>(tests.size()), failed);
      });
  for (size_t i = 0; i < tests.size(); ++i) {
    const KnownCase known = known_of(tests[i]);
    if (known.fails) suite.cases[i].listed = known.reason;
    count(suite.cases[i], known.fails, suite);
  }
  return suite;
}

}  // namespace tandem
