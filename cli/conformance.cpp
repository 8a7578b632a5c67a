// `tandem conformance`: test cases in the layout of ONNX's backend suite; with --server the suite of the Open Inference Protocol v2.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/server_conformance.h"
#include "runtime/conformance/run_suite.h"
#include "runtime/device/topology.h"
#include "runtime/graph/limits.h"
#include "runtime/io/file.h"
#include "runtime/passes/pass_manager.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem conformance DIR [options]",
    "Runs every ONNX test case beneath DIR (model.onnx and test_data_set_0/{input,output}_0.pb) and tells by op how many pass: types\n"
    "and shapes equal, floats within 1e-3 relative and 1e-7 absolute. Each case runs in a process apart. The exit code is 1 if a case\n"
    "fails that --list does not name. With --server the Open Inference Protocol v2 is tested instead, against any server that speaks it; it should\n"
    "have the models that --write-models makes.",
    "  tandem conformance onnx/backend/test/data\n"
    "  tandem conformance onnx/backend/test/data/node --filter 'test_conv_*' --verbose\n"
    "  tandem conformance onnx/backend/test/data/node --list tests/conformance/onnx_backend.txt --min-cases 1765\n"
    "  tandem conformance my_case --json                      one object with all cases\n"
    "  tandem conformance my_networks --l2 5e-5               whole networks: the relative L2 distance of each output\n"
    "  tandem conformance --write-models models               the models of the other suite, to be served from there\n"
    "  tandem conformance --server 127.0.0.1:8000 --grpc 127.0.0.1:8001 --model mlp\n",
};
constexpr size_t kMostFailuresShown = 10;  // without --verbose

struct Counts {
  int64_t passed = 0, failed = 0, listed = 0, skipped = 0;
};

std::string_view status_name(CaseStatus status) {
  switch (status) {
    case CaseStatus::kPassed: return "passed";
    case CaseStatus::kFailed: return "failed";
    case CaseStatus::kSkipped: return "skipped";
  }
  return "";
}

void print_json(const SuiteResult& suite) {
  nlohmann::json cases = nlohmann::json::array();
  for (const SuiteCase& test : suite.cases) {
    cases.push_back({{"name", test.name},
                     {"kind", test.kind},
                     {"op", test.op},
                     {"status", status_name(test.result.status)},
                     {"reason", test.result.reason}});
    if (test.result.l2 > 0) cases.back()["l2"] = test.result.l2;
    if (!test.listed.empty()) cases.back()["listed"] = test.listed;
  }
  std::cout << json_line({{"passed", suite.passed},
                          {"failed", suite.failed},
                          {"skipped", suite.skipped},
                          {"unlisted", suite.unlisted},
                          {"listed_but_passing", suite.stale},
                          {"cases", cases}})
            << "\n";
}

void print_table(const SuiteResult& suite) {
  std::map<std::string, Counts> ops;
  size_t width = 5;
  for (const SuiteCase& test : suite.cases) {
    Counts& counts = ops[test.op];
    counts.passed += test.result.status == CaseStatus::kPassed;
    counts.failed += test.result.status == CaseStatus::kFailed;
    counts.listed += test.result.status == CaseStatus::kFailed && !test.listed.empty();
    counts.skipped += test.result.status == CaseStatus::kSkipped;
    width = std::max(width, test.op.size());
  }
  fmt::print("{:<{}}  {:>6}  {:>6}  {:>6}  {:>7}\n", "op", width, "passed", "failed", "listed", "skipped");
  for (const auto& [op, counts] : ops)
    fmt::print("{:<{}}  {:>6}  {:>6}  {:>6}  {:>7}\n", op, width, counts.passed, counts.failed, counts.listed, counts.skipped);
  fmt::print("{:<{}}  {:>6}  {:>6}  {:>6}  {:>7}\n", "total", width, suite.passed, suite.failed, suite.failed - suite.unlisted, suite.skipped);
}

void print_reasons(const SuiteResult& suite, bool verbose) {
  std::map<std::string, int64_t> skipped;
  size_t shown = 0, hidden = 0;
  for (const SuiteCase& test : suite.cases) {
    if (test.result.status == CaseStatus::kSkipped) ++skipped[test.result.reason];
    if (test.result.status != CaseStatus::kFailed || (!test.listed.empty() && !verbose)) continue;
    if (!verbose && shown == kMostFailuresShown) {
      ++hidden;
      continue;
    }
    if (shown++ == 0) fmt::print("\n");
    fmt::print("failed {}: {}{}\n", test.name, test.result.reason, test.listed.empty() ? "" : "  (listed: " + test.listed + ")");
  }
  if (hidden) fmt::print("and {} more; --verbose shows them\n", hidden);
  if (!skipped.empty()) fmt::print("\n");
  for (const auto& [reason, count] : skipped) fmt::print("skipped {}: {}\n", count, reason);
  for (const std::string& name : suite.stale) fmt::print("listed as failing, but passes: {}\n", name);
}

SuiteOptions suite_options(const std::string& list, const std::vector<std::string>& filters, int threads, int64_t timeout) {
  require(threads >= 1 && threads <= kMostThreads, fmt::format("--threads must lie in [1, {}]", kMostThreads), threads);
  require(timeout >= 1 && timeout <= 86'400, "--timeout must lie in [1, 86400] seconds", timeout);
  SuiteOptions suite{.filters = filters, .limit = std::chrono::seconds(timeout)};
  suite.run.threads = threads;
  if (!list.empty()) suite.known = parse_known_cases(read_file(list, Limits{}.config_bytes));
  return suite;
}

SuiteResult run_with_progress(const std::string& folder, SuiteOptions suite) {
  ProgressBar bar;
  const auto begin = std::chrono::steady_clock::now();
  suite.progress = [&](int64_t done, int64_t total, int64_t failed) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double rate = static_cast<double>(done) / std::max(seconds, 1e-3);
    bar.update("conformance", done, total, rate, "cases", static_cast<double>(total - done) / rate, fmt::format("{} failed", failed));
  };
  SuiteResult result = run_suite(folder, suite);
  bar.clear();
  return result;
}

}  // namespace

int conformance_command(int argc, char** argv) {
  po::options_description options("options");
  std::string folder, list;
  std::vector<std::string> filters, disabled;
  int threads = 1, jobs = 0;
  int64_t least = 1, timeout = 60;
  double l2 = 0;
  ServerConformance server;
  std::string models;
  options.add_options()("dir", po::value(&folder), "the folder with the cases, or one case (also as a plain word)")(
      "filter", po::value(&filters)->composing(), "only cases whose names fit this glob pattern; may be repeated")(
      "list", po::value(&list), "a file of known failures, with reasons")("min-cases", po::value(&least)->default_value(1),
                                                                        "refuse a folder with fewer cases")(
      "verbose,v", "each failure with its message")("jobs,j", po::value(&jobs), "cases at a time (default: one a processor)")(
      "threads", po::value(&threads)->default_value(1), "threads of each run")("timeout", po::value(&timeout)->default_value(60),
                                                                              "seconds that a case may take")(
      "disable-pass", po::value(&disabled), "leave a pass out")(
      "l2", po::value(&l2), "judge each floating tensor as a whole: |got - expected| / |expected| is this at most")(
      "server", po::value(&server.server), "host[:port] of a server: tests the Open Inference Protocol v2 over HTTP instead")(
      "grpc", po::value(&server.grpc), "host:port of its gRPC")("model", po::value(&server.model), "also asks this model of its own")(
      "write-models", po::value(&models), "writes the models of that suite into a folder, and is done");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "dir", values)) return kOk;
  if (!models.empty()) return write_conformance_models(models);
  if (!server.server.empty() || !server.grpc.empty()) {
    server.filters = filters;
    server.verbose = values.contains("verbose");
    server.json = values.contains("json");
    return run_server_conformance(server);
  }
  require(!folder.empty(), "no folder given; usage: " + kUsageText.line);
  SuiteOptions suite = suite_options(list, filters, threads, timeout);
  suite.run.disabled_passes = {disabled.begin(), disabled.end()};
  Graph nothing;
  run_passes(nothing, {.disabled = suite.run.disabled_passes});  // refuses a name that no pass has, before each case does
  if (values.contains("l2")) suite.run.l2 = l2;
  suite.workers = values.contains("jobs") ? jobs : allowed_cpus().threads;
  require(suite.workers >= 1 && suite.workers <= kMostThreads, fmt::format("--jobs must lie in [1, {}]", kMostThreads), suite.workers);

  const SuiteResult result = run_with_progress(folder, suite);
  const auto found = static_cast<int64_t>(result.cases.size());
  require(found >= least, "there are fewer cases than there should be (found, --min-cases)", found, least);
  if (values.contains("json")) {
    print_json(result);
  } else {
    print_table(result);
    print_reasons(result, values.contains("verbose"));
  }
  return result.unlisted ? kInternalError : kOk;
}

}  // namespace tandem::cli
