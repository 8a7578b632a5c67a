// What it takes to open a model: time by stage and the most memory the process ever held.
//   load_bench MODEL [threads]
//   load_bench MODEL.onnx --compile MODEL.tdm      panels are for the program that packs them: `tandem compile` makes those of tandem
// Prints one JSON object. bench/peers/load.py runs it beside onnxruntime, each load in a process of its own.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/exec/executor.h"
#include "runtime/model/open_model.h"
#include "runtime/plan/compile.h"

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point& last) {
  const auto now = std::chrono::steady_clock::now();
  const double passed = std::chrono::duration<double, std::milli>(now - last).count();
  last = now;
  return passed;
}

// Of this process alone: ru_maxrss begins with what its parent held.
int64_t peak_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t kib = 0;
  while (status >> word)
    if (word == "VmHWM:") status >> kib;
  return kib;
}

// Inputs of ones, every open size 1.
void run_once(tandem::Executor& executor) {
  const tandem::Plan& plan = executor.plan();
  std::vector<tandem::Tensor> inputs;
  for (tandem::ValueId id : plan.graph.inputs) {
    tandem::Tensor& input = inputs.emplace_back(plan.graph.value(id).type.dtype, plan.shapes[static_cast<size_t>(id)]);
    tandem::visit_number(input.dtype(), [&]<class T>() { std::ranges::fill(input.as<T>(), T(1)); });
  }
  std::vector<tandem::ConstTensorView> views;
  for (const tandem::Tensor& input : inputs) views.push_back(input.view());
  executor.run(views);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return std::fprintf(stderr, "usage: load_bench MODEL [threads | --compile MODEL.tdm]\n"), 2;
  if (argc > 3 && std::string_view(argv[2]) == "--compile") {
    tandem::compile(tandem::open_model(argv[1]).graph, {.default_bound = 1}, argv[3], argv[1]);
    return 0;
  }
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const int64_t before = peak_kib();
  auto last = std::chrono::steady_clock::now();
  tandem::OpenedModel model = tandem::open_model(argv[1]);
  const double opening = milliseconds_since(last);
  double passes = 0;
  for (const tandem::PassReport& report : model.reports) passes += static_cast<double>(report.microseconds) / 1e3;
  auto plan = tandem::make_plan(std::move(model.graph), {.threads = threads, .default_bound = 1, .packs = model.packs});
  const double planning = milliseconds_since(last);
  tandem::Executor executor(std::move(plan), {});
  const double executing = milliseconds_since(last);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const int64_t opened = peak_kib();
  const auto cpu = [](const timeval& time) { return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3; };
  run_once(executor);
  std::printf("{\"ms\": %.2f, \"cpu_ms\": %.1f, \"read_ms\": %.2f, \"passes_ms\": %.2f, \"plan_ms\": %.2f, \"executor_ms\": %.2f, "
              "\"peak_kib\": %ld, \"start_kib\": %ld, \"run_ms\": %.2f, \"peak_after_run_kib\": %ld}\n",
              opening + planning + executing, cpu(usage.ru_utime) + cpu(usage.ru_stime), opening - passes, passes, planning, executing,
              static_cast<long>(opened), static_cast<long>(before), milliseconds_since(last), static_cast<long>(peak_kib()));
  return 0;
} catch (const std::exception& error) {
  return std::fprintf(stderr, "load_bench: %s\n", error.what()), 1;
}
