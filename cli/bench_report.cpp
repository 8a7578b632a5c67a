#include "cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "kernels/cpu/machine/ceilings.h"
#include "runtime/plan/work.h"

namespace tandem::cli {
namespace {

void add(Work& work, const Plan& plan, const Node& node) {
  (multiplies_bytes(plan, node) ? work.int8 : multiplies_bf16(plan, node) ? work.bf16 : work.f32) += flops_of(plan, node);
}

nlohmann::json json_of(const OpRow& row, const Ceilings& ceilings) {
  return {{"op", row.op},
          {"calls", row.calls},
          {"ms", row.ms},
          {"gflops", row.work.sum() / row.ms * 1e-6},
          {"share_of_ceiling", row.work.seconds_at(ceilings) * 1e3 / row.ms}};
}

}  // namespace

double seconds_of(const std::string& line) {
  double number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  require(error == std::errc() && end == line.data() + line.size() && number > 0 && number < 1e6, "a line holds a number of seconds", line);
  return number;
}

double Work::seconds_at(const Ceilings& ceilings) const {
  return (f32 > 0 ? f32 / ceilings.f32 : 0) + (bf16 > 0 ? bf16 / ceilings.bf16 : 0) + (int8 > 0 ? int8 / ceilings.int8 : 0);
}

Work work_of(const Plan& plan) {
  Work work;
  for (const Node& node : plan.graph.nodes) add(work, plan, node);
  return work;
}

double arithmetic_ceiling(cpu::Arithmetic arithmetic, int threads) {
  const cpu::MeasureOptions options{.threads = threads};
  const double f32 = cpu::operations_per_second(cpu::Arithmetic::kF32, options);
  // Where bf16 is widened, or slower than f32 (AVX-512 BF16 on some processors), or nothing is known to multiply bytes faster, f32 is what counts.
  return arithmetic == cpu::Arithmetic::kF32 ? f32 : std::max(f32, cpu::operations_per_second(arithmetic, options));
}

Ceilings measure_ceilings(const Work& work, int threads) {
  Ceilings ceilings{.f32 = arithmetic_ceiling(cpu::Arithmetic::kF32, threads)};
  if (work.int8 > 0) ceilings.int8 = arithmetic_ceiling(cpu::Arithmetic::kInt8, threads);
  if (work.bf16 > 0) ceilings.bf16 = arithmetic_ceiling(cpu::Arithmetic::kBf16, threads);
  ceilings.read = cpu::MemoryProbe().bytes_per_second(cpu::Traffic::kRead, {.threads = threads});
  return ceilings;
}

std::vector<OpRow> rows_by_op(const Plan& plan, std::span<const Profiler::Event> events, size_t runs) {
  std::map<std::string, OpRow> by_op;
  for (const Profiler::Event& event : events) {
    OpRow& row = by_op[event.op];
    row.calls += 1.0 / static_cast<double>(runs);
    row.ms += static_cast<double>(event.end_ns - event.begin_ns) * 1e-6 / static_cast<double>(runs);
  }
  for (const Node& node : plan.graph.nodes)
    if (const auto found = by_op.find(std::string(node.def->name)); found != by_op.end()) add(found->second.work, plan, node);
  std::vector<OpRow> rows;
  for (auto& [op, row] : by_op) {
    row.op = op;
    rows.push_back(row);
  }
  std::ranges::sort(rows, std::greater<>{}, &OpRow::ms);
  return rows;
}

nlohmann::json json_of(const Timing& timing) {
  return {{"median_ms", timing.median_ms},
          {"p99_ms", timing.p99_ms},
          {"min_ms", timing.min_ms},
          {"processor_ms", timing.processor_ms},
          {"runs", timing.runs}};
}

nlohmann::json json_of(const BenchReport& report) {
  nlohmann::json json = json_of(report.timing);
  json["peak_bytes"] = report.plan_bytes;
  json["process_bytes"] = report.process_bytes;
  json["bytes_moved"] = report.bytes_moved;
  json["gflop"] = report.work.sum() * 1e-9;
  json["int8_share"] = report.work.sum() > 0 ? report.work.int8 / report.work.sum() : 0;
  json["gflops"] = report.work.sum() / report.timing.median_ms * 1e-6;
  json["share_of_ceiling"] = report.share_of_ceiling();
  json["share_of_bandwidth"] = report.share_of_bandwidth();
  json["ceilings"] = {{"f32_per_second", report.ceilings.f32}, {"read_bytes_per_second", report.ceilings.read}};
  json["bf16_share"] = report.work.sum() > 0 ? report.work.bf16 / report.work.sum() : 0;
  if (report.work.bf16 > 0) json["ceilings"]["bf16_per_second"] = report.ceilings.bf16;
  if (report.work.int8 > 0) json["ceilings"]["int8_per_second"] = report.ceilings.int8;
  if (report.ops.empty()) return json;
  json["ops"] = nlohmann::json::array();
  for (const OpRow& row : report.ops) json["ops"].push_back(json_of(row, report.ceilings));
  return json;
}

void print(const BenchReport& report, int threads) {
  const Timing& timing = report.timing;
  fmt::print("time        median {:.4g} ms, 99% within {:.4g}, least {:.4g}; of processors {:.4g}; {} runs on {} threads\n", timing.median_ms,
             timing.p99_ms, timing.min_ms, timing.processor_ms, timing.runs, threads);
  fmt::print("arithmetic  {:.4g} GFLOP, {:.1f} GFLOP/s, {:.1f}% of the ceiling (f32 {:.0f}{}{})\n", report.work.sum() * 1e-9,
             report.work.sum() / timing.median_ms * 1e-6, 100 * report.share_of_ceiling(), report.ceilings.f32 * 1e-9,
             report.work.bf16 > 0 ? fmt::format(", bf16 {:.0f}", report.ceilings.bf16 * 1e-9) : "",
             report.work.int8 > 0 ? fmt::format(", int8 {:.0f}", report.ceilings.int8 * 1e-9) : "");
  fmt::print("memory      {:.4g} MB of weights, inputs and outputs: {:.1f}% of the time at {:.1f} GB/s\n",
             static_cast<double>(report.bytes_moved) * 1e-6, 100 * report.share_of_bandwidth(), report.ceilings.read * 1e-9);
  fmt::print("peak        {} bytes of the plan, {} of the process\n", report.plan_bytes, report.process_bytes);
  if (report.ops.empty()) return;
  fmt::print("\n{:<24} {:>7} {:>11} {:>7} {:>10} {:>9}\n", "op", "calls", "ms a run", "share", "GFLOP/s", "ceiling");
  double all = 0;
  for (const OpRow& row : report.ops) all += row.ms;
  for (const OpRow& row : report.ops)
    fmt::print("{:<24} {:>7.0f} {:>11.4f} {:>6.1f}% {:>10.1f} {:>8.1f}%\n", row.op, row.calls, row.ms, 100 * row.ms / all,
               row.work.sum() / row.ms * 1e-6, 100 * row.work.seconds_at(report.ceilings) * 1e3 / row.ms);
}

}  // namespace tandem::cli
