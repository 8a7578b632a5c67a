#include "cli/memory_report.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

namespace tandem::cli {

int64_t process_peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  return 0;
}

namespace {

// What a run touches of the program: the code of kernels, of what reads and writes tensors, of libraries; where steps are bound by the run, shape
// rules and binders too. Measured: 1.3 MiB in a chain of products, 2.0 in an MLP, 3.4 to 5.3 in networks of images.
constexpr int64_t kFirstRun = 3700 << 10, kFirstDynamicRun = 4700 << 10;

struct Resident {
  int64_t program = 0, heap = 0;
};

// From Linux's list of mappings: a line "from-to rwxp offset device inode path", then "Rss: n kB" among others.
Resident resident_now() {
  std::ifstream mappings("/proc/self/smaps");
  Resident now;
  int64_t nothing = 0, *counted = &nothing;
  std::error_code unknown;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
  for (std::string line; std::getline(mappings, line);) {
    if (line.find('-') < line.find(' ')) {
      const size_t path = line.find_first_of("/[");
      const std::string name = path == std::string::npos ? "" : line.substr(path);
      const bool is_code = name == program || name.find(".so") != std::string::npos;
      counted = is_code ? &now.program : name == "[heap]" || name == "[stack]" ? &now.heap : &nothing;
    } else if (line.starts_with("Rss:")) {
      *counted += std::stoll(line.substr(4)) * 1024;
    }
  }
  return now;
}

int64_t input_bytes(const Plan& plan) {
  int64_t bytes = 0;
  for (ValueId id : plan.graph.inputs)
    if (!plan.is_dynamic(id)) bytes += plan.shapes[static_cast<size_t>(id)].elements() * static_cast<int64_t>(size_of(plan.graph.value(id).type.dtype));
  return bytes;
}

}  // namespace

ProcessFigure process_figure(const Plan& plan, std::optional<int64_t> inputs) {
  const Resident now = resident_now();
  return {.loaded = process_peak_bytes(),
          .program = now.program,
          .heap = std::max<int64_t>(0, now.heap - plan.host.constants_in_heap),
          .loading = plan.host.loading,
          .weights = plan.host.constants + plan.host.states,
          .activations = plan.host.arena + plan.host.workspace + 2 * plan.host.feeds,
          .inputs = inputs.value_or(input_bytes(plan)),
          .first_run = std::ranges::find(plan.dynamic, true) != plan.dynamic.end() ? kFirstDynamicRun : kFirstRun};
}

nlohmann::json to_json(const ProcessFigure& figure) {
  return {{"loaded_bytes", figure.loaded},   {"program_bytes", figure.program},         {"heap_bytes", figure.heap},
          {"loading_bytes", figure.loading}, {"weight_bytes", figure.weights},          {"activation_bytes", figure.activations},
          {"input_bytes", figure.inputs},    {"first_run_bytes", figure.first_run}, {"peak_bytes", figure.total()}};
}

std::string to_text(const ProcessFigure& figure) {
  return fmt::format(
      "process    {:>14} bytes at most, the larger of\n"
      "  loading  {:>14} bytes until the plan was made; of it {} weights while kernels pack them\n"
      "  running  {:>14} bytes: weights {}, activations {}, inputs {}, heap {}, program and libraries {} and what a run adds to them, {}\n",
      figure.total(), figure.loaded, figure.loading, figure.running(), figure.weights, figure.activations, figure.inputs, figure.heap, figure.program,
      figure.first_run);
}

MemoryReport memory_report(const Executor& executor, const ProcessFigure& expected) {
  return {.plan = executor.plan().host,
          .dynamic = executor.dynamic_peak_bytes(),
          .expected = expected,
          .process = process_peak_bytes(),
          .program = resident_now().program};
}

nlohmann::json to_json(const MemoryReport& report) {
  return {{"arena_bytes", report.plan.arena},
          {"lower_bound_bytes", report.plan.lower_bound},
          {"scratch_bytes", report.plan.scratch},
          {"workspace_bytes", report.plan.workspace},
          {"constant_bytes", report.plan.constants},
          {"state_bytes", report.plan.states},
          {"dynamic_bytes", report.dynamic},
          {"input_bytes", report.expected.inputs},
          {"loading_bytes", report.expected.loading},
          {"peak_bytes", report.plan.total() + report.dynamic},
          {"process_loaded_bytes", report.expected.loaded},
          {"process_bytes", report.process},
          {"program_bytes", report.program},
          {"expected", to_json(report.expected)}};
}

std::string to_text(const MemoryReport& report) {
  return fmt::format(
      "plan: {} bytes (arena {}, of it scratch {}, constants {}, states {}); sized by the run: {}; inputs: {}\n{}"
      "measured   {:>14} bytes at most; {} are pages of the program and its libraries\n",
      report.plan.total(), report.plan.arena, report.plan.scratch, report.plan.constants, report.plan.states, report.dynamic,
      report.expected.inputs, to_text(report.expected), report.process, report.program);
}

}  // namespace tandem::cli
