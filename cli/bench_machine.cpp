// `tandem bench machine`: the chosen instruction set and why, the processors, the caches, and the measured ceilings.
#include <fmt/format.h>

#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "kernels/api/isa.h"
#include "kernels/cpu/machine/ceilings.h"
#include "runtime/device/topology.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem bench machine [--threads N]",
    "What this machine can do at best, on one thread and on all: the denominators of every other benchmark. Takes about two seconds and\n"
    "384 MiB. Each figure is the best of short rounds; what other programs use of the machine meanwhile is missing from it.",
    "  tandem bench machine\n"
    "  tandem bench machine --json\n"
    "  TANDEM_ISA=avx2 tandem bench machine    the instruction set that the kernels are to use\n",
};

struct Ceiling {
  std::string name;
  double one = 0, all = 0;  // a second
};

struct Report {
  MachineDescription machine;
  AllowedCpus cpus;
  int threads = 1;
  std::vector<Ceiling> arithmetic, memory;
};

Report measure(int threads) {
  Report report;
  report.machine = describe_machine();
  report.cpus = allowed_cpus();
  report.threads = threads > 0 ? threads : report.cpus.threads;
  const auto both = [&](std::string_view name, auto&& rate) {
    Ceiling ceiling{.name = std::string(name), .one = rate(cpu::MeasureOptions{})};
    ceiling.all = report.threads == 1 ? ceiling.one : rate(cpu::MeasureOptions{.threads = report.threads});
    return ceiling;
  };
  for (const cpu::ArithmeticProbe* probe : cpu::arithmetic_probes())
    report.arithmetic.push_back(both(probe->name, [&](const auto& options) { return cpu::operations_per_second(*probe, options); }));
  const cpu::MemoryProbe memory;
  for (const cpu::Traffic traffic : {cpu::Traffic::kRead, cpu::Traffic::kWrite, cpu::Traffic::kCopy, cpu::Traffic::kTriad})
    report.memory.push_back(both(name(traffic), [&](const auto& options) { return memory.bytes_per_second(traffic, options); }));
  return report;
}

std::string reason() {
  if (const char* forced = std::getenv("TANDEM_ISA"); forced && *forced) return "TANDEM_ISA asks for it";
  std::string available;
  for (const cpu::Isa isa : cpu::available_isas()) available += fmt::format("{}{}", available.empty() ? "" : ", ", name(isa));
  return "the best that this processor has; it runs " + available;
}

std::string size_text(int64_t bytes) {
  return bytes >= 1 << 20 ? fmt::format("{:.4g} MiB", static_cast<double>(bytes) / (1 << 20)) : fmt::format("{} KiB", bytes >> 10);
}

void print_rows(const std::string& title, const std::vector<Ceiling>& ceilings, int threads) {
  fmt::print("\n{:<32} {:>10} {:>12}\n", title, "1 thread", fmt::format("{} threads", threads));
  for (const Ceiling& ceiling : ceilings) fmt::print("{:<32} {:>10.1f} {:>12.1f}\n", ceiling.name, ceiling.one * 1e-9, ceiling.all * 1e-9);
}

void print(const Report& report) {
  fmt::print("processor     {}\n", report.machine.processor.empty() ? "unknown" : report.machine.processor);
  fmt::print("instructions  {}: {}\n", name(cpu::chosen_isa()), reason());
  fmt::print("processors    {} of {}, {} threads{}\n", report.cpus.cpus.size(), report.machine.processors, report.cpus.threads,
             report.cpus.note.empty() ? "" : ": " + report.cpus.note);
  for (const DataCache& cache : report.machine.caches)
    fmt::print("L{} cache      {}{}\n", cache.level, size_text(cache.bytes),
               cache.processors > 1 ? fmt::format(", shared by {} processors", cache.processors) : "");
  print_rows("arithmetic, GOP/s", report.arithmetic, report.threads);
  print_rows("memory, GB/s", report.memory, report.threads);
}

nlohmann::json json_of(const Report& report) {
  nlohmann::json json = {{"processor", report.machine.processor},
                         {"isa", name(cpu::chosen_isa())},
                         {"isa_reason", reason()},
                         {"cpus", report.cpus.cpus},
                         {"processors", report.machine.processors},
                         {"threads", report.threads},
                         {"allowed_threads", report.cpus.threads},
                         {"quota_note", report.cpus.note}};
  json["caches"] = nlohmann::json::array();
  for (const DataCache& cache : report.machine.caches)
    json["caches"].push_back({{"level", cache.level}, {"bytes", cache.bytes}, {"processors", cache.processors}});
  for (const Ceiling& c : report.arithmetic) json["operations_per_second"][c.name] = {{"one", c.one}, {"all", c.all}};
  for (const Ceiling& c : report.memory) json["bytes_per_second"][c.name] = {{"one", c.one}, {"all", c.all}};
  return json;
}

}  // namespace

int bench_machine_command(int argc, char** argv) {
  int threads = 0;
  po::options_description options("options");
  options.add_options()("threads", po::value(&threads)->default_value(0), "of the second column; 0: as many as this process may use");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "", values)) return kOk;
  require(threads >= 0 && threads <= kMostThreads, fmt::format("--threads must lie in [0, {}]", kMostThreads), threads);
  const Report report = measure(threads);
  if (values.contains("json"))
    std::cout << json_line(json_of(report)) << "\n";
  else
    print(report);
  return kOk;
}

}  // namespace tandem::cli
