// `tandem bench kernels`: how long single kernels take, each first held against its definition, and how near that is to what the machine can do.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/bench.h"
#include "cli/bench_report.h"
#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/kernel_cases.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "kernels/api/isa.h"
#include "kernels/cpu/machine/ceilings.h"
#include "runtime/exec/executor.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/plan/plan.h"
#include "runtime/train/trainer.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem bench kernels [--only WORD] [--threads T]",
    "Times single ops as a network would run them: planned, with weights packed beforehand. Each answer is first compared, at some of its\n"
    "elements, with the op's definition in doubles; a wrong one ends the command. Beside the time stand operations a second and their share of\n"
    "what this machine can do in that type, and bytes (inputs, weights and outputs once) a second and their share of the bandwidth of reading\n"
    "memory, above 100% where caches keep them. Convolutions have a layer before them, and are timed without it.",
    "  tandem bench kernels\n"
    "  tandem bench kernels --only MatMul --threads 2\n"
    "  tandem bench kernels --only int8 --json\n"
    "  TANDEM_ISA=avx2 tandem bench kernels --only \"Conv 3x3\"\n",
};

struct Row {
  const KernelCase* subject;
  std::string kernels;  // what ran
  double median_ms = 0, min_ms = 0;
  size_t runs = 0;
  double ceiling = 0;  // operations a second, in this type, measured beside it

  double operations_a_second() const { return subject->operations / median_ms * 1e3; }
  double bytes_a_second() const { return subject->bytes / median_ms * 1e3; }
};

struct Arguments {
  std::vector<std::string> only;
  int threads = 1;
  double seconds = 0.2;
};

// What brings its result to another layout or type bears its name, too; in a network the next layer reads the result as it is.
bool is_timed(const Profiler::Event& event) { return event.name.starts_with(kTimedNode) && event.op != "Transpose" && event.op != "Cast"; }

double number_at(ConstTensorView view, int64_t element) {
  const auto i = static_cast<size_t>(element);
  return view.dtype == DType::kU8 ? view.as<uint8_t>()[i] : view.as<float>()[i];
}

// Throws Internal with the first element that is wrong, of some spread over the first output and the last.
void validate(const KernelCase& subject, const KernelSubject& made, std::span<const ConstTensorView> outputs) {
  constexpr int64_t kElements = 48;
  for (size_t output = 0; output < outputs.size(); output += std::max<size_t>(1, outputs.size() - 1)) {
    const int64_t elements = outputs[output].shape.elements();
    for (int64_t i = 0; i < kElements; ++i) {
      const int64_t element = i == kElements - 1 ? elements - 1 : i * 7919 % elements * (elements / kElements + 1) % elements;
      const Expected expected = made.expected(output, element);
      const double found = number_at(outputs[output], element);
      if (std::abs(found - expected.value) <= expected.error) continue;
      fail(ErrorCode::kInternal, fmt::format("{} in {}: element {} of output {} is {}, not {} (within {:.2g})", subject.name, subject.type, element, output,
                                             found, expected.value, expected.error));
    }
  }
}

Row measure(const KernelCase& subject, const Arguments& arguments) {
  using Clock = std::chrono::steady_clock;
  KernelSubject made = subject.make();
  run_passes(made.graph);
  const auto plan = make_plan(std::move(made.graph), {.threads = arguments.threads, .precision = subject.type == "bf16" ? DType::kBF16 : DType::kF32});
  Profiler profiler;
  Executor executor(plan, {.profiler = &profiler});
  const std::vector<ConstTensorView> inputs = inputs_of(plan->graph, made.feed);
  validate(subject, made, executor.run(inputs));
  executor.run(inputs);

  Row row{.subject = &subject, .kernels = {}};
  std::vector<double> times;
  for (const auto start = Clock::now(); times.size() < 5 || Clock::now() - start < std::chrono::duration<double>(arguments.seconds);) {
    const size_t first = profiler.events().size();
    executor.run(inputs);
    double ms = 0;
    for (size_t i = first; i < profiler.events().size(); ++i) {
      const Profiler::Event& event = profiler.events()[i];
      if (!is_timed(event)) continue;
      ms += static_cast<double>(event.end_ns - event.begin_ns) * 1e-6;
      if (times.empty() && row.kernels.find(event.op) == std::string::npos) row.kernels += (row.kernels.empty() ? "" : ", ") + event.op;
    }
    times.push_back(ms);
  }
  std::ranges::sort(times);
  row.median_ms = times[times.size() / 2], row.min_ms = times.front(), row.runs = times.size();
  if (subject.operations > 0) {
    row.ceiling = arithmetic_ceiling(subject.type == "bf16" ? cpu::Arithmetic::kBf16 : subject.type == "int8" ? cpu::Arithmetic::kInt8 : cpu::Arithmetic::kF32,
                                     arguments.threads);
  }
  return row;
}

void print_head() {
  fmt::print("{:<48} {:<5} {:>10} {:>9} {:>8} {:>7} {:>10}  {}\n", "", "type", "median ms", "GOP/s", "ceiling", "GB/s", "bandwidth", "kernels");
}

void print(const Row& row, double read) {
  const KernelCase& subject = *row.subject;
  fmt::print("{:<48} {:<5} {:>10.4g} {:>9} {:>8} {:>7.1f} {:>9.0f}%  {}\n", subject.name, subject.type, row.median_ms,
             row.ceiling > 0 ? fmt::format("{:.1f}", row.operations_a_second() * 1e-9) : "",
             row.ceiling > 0 ? fmt::format("{:.1f}%", 100 * row.operations_a_second() / row.ceiling) : "", row.bytes_a_second() * 1e-9,
             100 * row.bytes_a_second() / read, row.kernels);
  std::fflush(stdout);
}

nlohmann::json json_of(const Row& row, double read) {
  nlohmann::json json = {{"name", row.subject->name},       {"type", row.subject->type},
                         {"kernels", row.kernels},          {"median_ms", row.median_ms},
                         {"min_ms", row.min_ms},            {"runs", row.runs},
                         {"bytes", row.subject->bytes},     {"share_of_bandwidth", row.bytes_a_second() / read}};
  if (row.ceiling > 0) {
    json["gop"] = row.subject->operations * 1e-9;
    json["gops"] = row.operations_a_second() * 1e-9;
    json["share_of_ceiling"] = row.operations_a_second() / row.ceiling;
  }
  return json;
}

// Those whose name and type hold every word that was asked for.
std::vector<KernelCase> wanted(const std::vector<std::string>& words) {
  std::vector<KernelCase> cases = kernel_cases();
  std::set<std::string> ops;
  for (const KernelCase& one : cases) ops.insert(one.name.substr(0, one.name.find(' ')));
  std::erase_if(cases, [&](const KernelCase& one) {
    return std::ranges::any_of(words, [&](const std::string& word) { return (one.name + " " + one.type).find(word) == std::string::npos; });
  });
  require(!cases.empty(), fmt::format("no kernel's name and type hold '{}'; there are {} in f32, bf16, int8 and int4, with their sizes", fmt::join(words, "' and '"),
                                      fmt::join(ops, ", ")));
  return cases;
}

}  // namespace

int bench_kernels_command(int argc, char** argv) {
  Arguments arguments;
  po::options_description options("options");
  options.add_options()("only", po::value(&arguments.only)->composing(), "kernels whose name or type holds this; may be repeated, all must hold")(
      "threads", po::value(&arguments.threads)->default_value(1), "threads of a run")(
      "seconds", po::value(&arguments.seconds)->default_value(arguments.seconds), "to measure each for, at least five runs");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "", values)) return kOk;
  require(arguments.threads >= 1 && arguments.threads <= kMostThreads, fmt::format("--threads must lie in [1, {}]", kMostThreads), arguments.threads);
  require(arguments.seconds > 0 && arguments.seconds < 1e6, "--seconds takes a number above 0", arguments.seconds);
  const std::vector<KernelCase> cases = wanted(arguments.only);
  const bool as_json = values.contains("json");

  const double read = cpu::MemoryProbe().bytes_per_second(cpu::Traffic::kRead, {.threads = arguments.threads});
  nlohmann::json json = {{"isa", name(cpu::chosen_isa())}, {"threads", arguments.threads}, {"read_bytes_per_second", read}, {"kernels", nlohmann::json::array()}};
  if (!as_json) print_head();
  ProgressBar bar;
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < cases.size(); ++i) {
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = passed > 0 ? static_cast<double>(i) / passed : 0;
    bar.update("kernels", static_cast<int64_t>(i), static_cast<int64_t>(cases.size()), rate, "kernels", rate > 0 ? static_cast<double>(cases.size() - i) / rate : 0,
               cases[i].name + " " + cases[i].type);
    const Row row = measure(cases[i], arguments);
    bar.clear();
    if (as_json)
      json["kernels"].push_back(json_of(row, read));
    else
      print(row, read);
  }
  if (as_json) std::cout << json_line(json) << "\n";
  return kOk;
}

}  // namespace tandem::cli
