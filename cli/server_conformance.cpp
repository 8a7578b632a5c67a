#include "cli/server_conformance.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/progress.h"
#include "kernels/base/error.h"
#include "serving/conformance/run_wire_suite.h"
#include "serving/conformance/suite_models.h"

namespace tandem::cli {
namespace {

HttpAddress http_address(std::string url) {
  if (url.starts_with("http://")) url.erase(0, 7);
  while (url.ends_with('/')) url.pop_back();
  const size_t colon = url.rfind(':');
  if (colon == std::string::npos) return {url, 8000};
  int port = 0;
  const auto [end, error] = std::from_chars(url.data() + colon + 1, url.data() + url.size(), port);
  require(error == std::errc() && end == url.data() + url.size() && port > 0 && port <= 65'535, "--server has no such port", url);
  return {url.substr(0, colon), port};
}

ServerAddresses addresses_of(const ServerConformance& flags) {
  ServerAddresses addresses{.http = {}, .grpc = flags.grpc, .model = flags.model};
  if (!flags.server.empty()) addresses.http = http_address(flags.server);
  return addresses;
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed: return "passed";
    case Verdict::kFailed: return "failed";
    case Verdict::kSkipped: return "skipped";
  }
  return "";
}

struct Counts {
  int64_t passed = 0, failed = 0, skipped = 0;
  void add(Verdict verdict) {
    passed += verdict == Verdict::kPassed;
    failed += verdict == Verdict::kFailed;
    skipped += verdict == Verdict::kSkipped;
  }
};

void print_row(const std::string& topic, const Counts& http, const Counts& grpc, const Counts& both) {
  const auto cell = [](const Counts& counts) {
    const int64_t judged = counts.passed + counts.failed;
    return judged == 0 ? std::string("-") : fmt::format("{}/{}", counts.passed, judged);
  };
  const int64_t failed = http.failed + grpc.failed + both.failed, skipped = http.skipped + grpc.skipped + both.skipped;
  fmt::print("{:<16} {:>9} {:>9} {:>9} {:>8} {:>8}\n", topic, cell(http), cell(grpc), cell(both), failed, skipped);
}

// Passed of judged, by topic in the order of the suite and by protocol.
void print_table(const ServerUnderTest& server, const std::vector<WireResult>& results) {
  std::vector<std::string> topics;
  std::unordered_map<std::string, std::unordered_map<std::string, Counts>> counts;
  for (const WireResult& one : results) {
    if (std::ranges::find(topics, one.topic) == topics.end()) topics.push_back(one.topic);
    counts[one.topic][one.protocol].add(one.verdict);
    counts["total"][one.protocol].add(one.verdict);
  }
  topics.push_back("total");
  fmt::print("Open Inference Protocol v2, as '{}' speaks it\n\n", server.name());
  fmt::print("{:<16} {:>9} {:>9} {:>9} {:>8} {:>8}\n", "topic", "http", "grpc", "both", "failed", "skipped");
  for (const std::string& topic : topics) print_row(topic, counts[topic]["http"], counts[topic]["grpc"], counts[topic]["both"]);
}

void print_reasons(const std::vector<WireResult>& results, bool verbose) {
  std::vector<std::pair<std::string, int>> skipped;  // reasons as they first came, and how often
  bool first = true;
  for (const WireResult& one : results) {
    if (one.verdict == Verdict::kSkipped) {
      const auto found = std::ranges::find(skipped, one.reason, &std::pair<std::string, int>::first);
      found == skipped.end() ? void(skipped.emplace_back(one.reason, 1)) : void(++found->second);
    }
    if (one.verdict != Verdict::kFailed && !verbose) continue;
    fmt::print("{}{:<7} {} {}/{}{}\n", first ? "\n" : "", verdict_name(one.verdict), one.protocol, one.topic, one.name,
               one.reason.empty() ? "" : ": " + one.reason);
    first = false;
  }
  if (!skipped.empty()) fmt::print("\n");
  for (const auto& [reason, count] : skipped) fmt::print("skipped {}: {}\n", count, reason);
}

void print_json(const ServerUnderTest& server, const std::vector<WireResult>& results) {
  Counts total;
  nlohmann::json cases = nlohmann::json::array();
  for (const WireResult& one : results) {
    total.add(one.verdict);
    cases.push_back({{"topic", one.topic},
                     {"name", one.name},
                     {"protocol", one.protocol},
                     {"status", verdict_name(one.verdict)},
                     {"ms", one.ms}});
    if (!one.extension.empty()) cases.back()["extension"] = one.extension;
    if (!one.reason.empty()) cases.back()["reason"] = one.reason;
  }
  fmt::print("{}\n", json_line({{"server", server.name()},
                                {"passed", total.passed},
                                {"failed", total.failed},
                                {"skipped", total.skipped},
                                {"cases", cases}}));
}

}  // namespace

int run_server_conformance(const ServerConformance& flags) {
  const ServerUnderTest server(addresses_of(flags));
  ProgressBar bar;
  WireSuiteOptions options{.filters = flags.filters, .progress = {}};
  options.progress = [&](size_t done, size_t total) {
    bar.update("conformance", static_cast<int64_t>(done), static_cast<int64_t>(total), 0, "cases", 0, "");
  };
  const std::vector<WireResult> results = run_wire_suite(server, options);
  bar.clear();
  require(!results.empty(), "no case fits --filter");
  if (flags.json) {
    print_json(server, results);
  } else {
    print_table(server, results);
    print_reasons(results, flags.verbose);
  }
  return std::ranges::any_of(results, [](const WireResult& one) { return one.verdict == Verdict::kFailed; }) ? kInternalError
                                                                                                             : kOk;
}

int write_conformance_models(const std::string& folder) {
  write_suite_models(folder);
  fmt::print("{}: {} models\n", folder, 1 + kEchoTypes.size());
  return kOk;
}

}  // namespace tandem::cli
