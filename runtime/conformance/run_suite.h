// All test cases beneath a folder, several at a time, each in a process apart.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/conformance/run_case.h"

namespace tandem {

struct SuiteOptions {
  std::vector<std::string> filters = {};  // glob patterns of names; none: all cases
  KnownCases known = {};
  CaseOptions run = {};
  int workers = 1;
  std::chrono::milliseconds limit{60'000};  // for one case
  // Called as cases end: how many of how many, and the failures so far.
  std::function<void(int64_t done, int64_t total, int64_t failed)> progress = {};
};

struct SuiteCase {
  std::string name, kind, op;
  CaseResult result;
  std::string listed;  // why it is known to fail; "" if it is not
};

struct SuiteResult {
  std::vector<SuiteCase> cases;  // sorted by kind and name
  int64_t passed = 0, failed = 0, skipped = 0;
  int64_t unlisted = 0;             // failures that are not known
  std::vector<std::string> stale;   // cases listed as failing that pass
};

// Throws as find_test_cases and run_isolated do. To be called before this process has threads.
SuiteResult run_suite(const std::filesystem::path& root, const SuiteOptions& options);

}  // namespace tandem
