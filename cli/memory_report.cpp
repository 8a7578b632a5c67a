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

// Resident pages of files of code, from Linux's list of mappings: a line "from-to rwxp offset device inode path", then "Rss: n kB" among others.
int64_t program_bytes() {
  std::ifstream mappings("/proc/self/smaps");
  int64_t bytes = 0;
  bool is_code = false;
  std::error_code unknown;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
  for (std::string line; std::getline(mappings, line);) {
    if (const size_t path = line.find('/'); path != std::string::npos && line.find('-') < line.find(' ')) {
      is_code = line.substr(path) == program || line.find(".so", path) != std::string::npos;
    } else if (line.find('-') < line.find(' ')) {
      is_code = false;  // a mapping of no file
    } else if (is_code && line.starts_with("Rss:")) {
      bytes += std::stoll(line.substr(4)) * 1024;
    }
  }
  return bytes;
}

}  // namespace

MemoryReport memory_report(const Executor& executor, int64_t inputs, int64_t process_loaded) {
  return {.plan = executor.plan().host,
          .dynamic = executor.dynamic_peak_bytes(),
          .inputs = inputs,
          .process_loaded = process_loaded,
          .process = process_peak_bytes(),
          .program = program_bytes()};
}

nlohmann::json to_json(const MemoryReport& report) {
  return {{"arena_bytes", report.plan.arena},
          {"lower_bound_bytes", report.plan.lower_bound},
          {"scratch_bytes", report.plan.scratch},
          {"workspace_bytes", report.plan.workspace},
          {"constant_bytes", report.plan.constants},
          {"state_bytes", report.plan.states},
          {"dynamic_bytes", report.dynamic},
          {"input_bytes", report.inputs},
          {"peak_bytes", report.plan.total() + report.dynamic},
          {"process_loaded_bytes", report.process_loaded},
          {"process_bytes", report.process},
          {"program_bytes", report.program}};
}

std::string to_text(const MemoryReport& report) {
  return fmt::format(
      "plan: {} bytes (arena {}, of it scratch {}, constants {}, states {}); sized by the run: {}; inputs: {}\n"
      "process: {} bytes at most, {} until the plan was made; {} are pages of the program and its libraries\n",
      report.plan.total(), report.plan.arena, report.plan.scratch, report.plan.constants, report.plan.states, report.dynamic, report.inputs,
      report.process, report.process_loaded, report.program);
}

}  // namespace tandem::cli
