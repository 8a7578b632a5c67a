// Runs the suite against a server.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "serving/conformance/server_under_test.h"

namespace tandem {

enum class Verdict : uint8_t { kPassed, kFailed, kSkipped };

struct WireResult {
  std::string topic, name, protocol;  // "http", "grpc" or "both"
  std::string extension;
  Verdict verdict = Verdict::kPassed;
  std::string reason;  // of what failed or was skipped
  double ms = 0;
};

struct WireSuiteOptions {
  std::vector<std::string> filters = {};  // glob patterns of "topic/name"; none: all cases
  std::function<void(size_t done, size_t total)> progress = {};
};

std::vector<WireResult> run_wire_suite(const ServerUnderTest& server, const WireSuiteOptions& options);

}  // namespace tandem
