#include "serving/conformance/run_wire_suite.h"

#include <fnmatch.h>

#include <algorithm>
#include <chrono>

#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

bool is_chosen(const WireCase& one, const std::vector<std::string>& filters) {
  const std::string name = one.topic + "/" + one.name;
  return filters.empty() ||
         std::ranges::any_of(filters, [&](const std::string& filter) { return ::fnmatch(filter.c_str(), name.c_str(), 0) == 0; });
}

std::string why_not(const ServerUnderTest& server, const WireCase& one) {
  if (one.http && !server.has_http()) return "no HTTP address was given";
  if (one.grpc && !server.has_grpc()) return "no gRPC address was given";
  if (!one.extension.empty() && !server.announces(one.extension)) return "the server does not announce " + one.extension;
  return "";
}

// Whatever a case throws is told, not thrown on: answers of a server may be anything.
void judge(const ServerUnderTest& server, const WireCase& one, WireResult& result) {
  result.reason = why_not(server, one);
  if (!result.reason.empty()) {
    result.verdict = Verdict::kSkipped;
    return;
  }
  try {
    one.run(server, one.index);
  } catch (const Skipped& skipped) {
    result.verdict = Verdict::kSkipped;
    result.reason = skipped.what();
  } catch (const std::exception& error) {
    result.verdict = Verdict::kFailed;
    result.reason = error.what();
  }
}

}  // namespace

WireCases all_wire_cases() {
  WireCases cases;
  for (const auto add :
       {add_server_cases, add_http_infer_cases, add_http_fault_cases, add_binary_cases, add_datatype_cases, add_grpc_infer_cases,
        add_grpc_fault_cases, add_stream_cases, add_extension_cases, add_transport_cases, add_model_cases})
    add(cases);
  return cases;
}

std::vector<WireResult> run_wire_suite(const ServerUnderTest& server, const WireSuiteOptions& options) {
  using Time = std::chrono::steady_clock;
  WireCases cases = all_wire_cases();
  std::erase_if(cases, [&](const WireCase& one) { return !is_chosen(one, options.filters); });
  std::vector<WireResult> results;
  for (const WireCase& one : cases) {
    const Time::time_point begin = Time::now();
    WireResult& result = results.emplace_back();
    result.topic = one.topic;
    result.name = one.name;
    result.protocol = one.http && one.grpc ? "both" : one.http ? "http" : "grpc";
    result.extension = one.extension;
    judge(server, one, result);
    result.ms = std::chrono::duration<double, std::milli>(Time::now() - begin).count();
    if (options.progress) options.progress(results.size(), cases.size());
  }
  return results;
}

}  // namespace tandem
