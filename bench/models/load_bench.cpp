// What it takes to open a model: time by stage and the most memory the process ever held.
//   load_bench MODEL [threads]
// Prints one JSON object. bench/peers/load.py runs it beside onnxruntime, each load in a process of its own.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "runtime/exec/executor.h"
#include "runtime/model/open_model.h"

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point& last) {
  const auto now = std::chrono::steady_clock::now();
  const double passed = std::chrono::duration<double, std::milli>(now - last).count();
  last = now;
  return passed;
}

int64_t peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return std::fprintf(stderr, "usage: load_bench MODEL [threads]\n"), 2;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const int64_t before = peak_kib();
  auto last = std::chrono::steady_clock::now();
  tandem::OpenedModel model = tandem::open_model(argv[1]);
  const double opening = milliseconds_since(last);
  double passes = 0;
  for (const tandem::PassReport& report : model.reports) passes += static_cast<double>(report.microseconds) / 1e3;
  auto plan = tandem::make_plan(std::move(model.graph), {.threads = threads, .default_bound = 1});
  const double planning = milliseconds_since(last);
  const tandem::Executor executor(std::move(plan), {});
  const double executing = milliseconds_since(last);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto cpu = [](const timeval& time) { return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3; };
  std::printf("{\"ms\": %.2f, \"cpu_ms\": %.1f, \"read_ms\": %.2f, \"passes_ms\": %.2f, \"plan_ms\": %.2f, \"executor_ms\": %.2f, "
              "\"peak_kib\": %ld, \"start_kib\": %ld}\n",
              opening + planning + executing, cpu(usage.ru_utime) + cpu(usage.ru_stime), opening - passes, passes, planning, executing,
              usage.ru_maxrss, static_cast<long>(before));
  return 0;
} catch (const std::exception& error) {
  return std::fprintf(stderr, "load_bench: %s\n", error.what()), 1;
}
