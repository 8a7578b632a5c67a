// `tandem bench roofline`: what a plan would launch on a GPU, beside what that GPU can do.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "models/run/build_network.h"
#include "models/run/run_folder.h"
#include "runtime/exec/roofline.h"
#include "runtime/io/file.h"
#include "runtime/model/open_model.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/plan/traffic.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

constexpr int64_t kStepsPerEpoch = 1'000'000;  // any number longer than a warm-up: the schedule's nodes are the same

const Usage kUsageText = {
    "tandem bench roofline --device h200 --dry-run MODEL.onnx|CONFIG.ini|RUN",
    "Lists every launch of a plan with its bytes, operations and occupancy, beside the best time that a GPU's memory bandwidth "
    "and\n"
    "arithmetic allow: a bad kernel shows before a device does. Nothing is launched and no GPU is needed; times are limits, not\n"
    "measurements. Marks: 'blocks' fewer blocks than multiprocessors, 'occupancy' below 25%, 'launch' less work than a launch "
    "costs (2 us).",
    "  tandem bench roofline --device h200 --dry-run runs/adult/model.onnx --batch 256\n"
    "  tandem bench roofline --device h200 --dry-run models/configs/mnist.ini --train    the training step of a config\n"
    "  tandem bench roofline --device l4 --dry-run runs/digits --math fast --json\n",
};

struct BenchArguments {
  std::string model, device, math, resources;
  int64_t batch = 0;  // 0: that of the config, or 64
  bool dry_run = false, train = false;
};

constexpr int64_t kDefaultBatch = 64;

// The network, or the training step, that a config describes; its data is read, since the network depends on it.
Graph graph_of_config(const std::filesystem::path& path, BenchArguments& arguments) {
  RunConfig config;
  config.read_file(path);
  if (arguments.batch == 0) arguments.batch = config.batch_size / config.accumulate;
  const LoadedData data = load_dataset(config.data_config());
  const Split split = split_rows(*data.train, config.split_options());
  const Network network = build_network(config, config.model, *data.train, split.train);
  if (arguments.train) return build_step(network, config.step_config(1, kStepsPerEpoch)).update;
  Graph graph = network.graph;
  run_passes(graph);
  return graph;
}

Graph graph_of(const std::string& what, BenchArguments& arguments) {
  const bool is_run = std::filesystem::is_directory(what);
  if (what.ends_with(".ini")) return graph_of_config(what, arguments);
  if (is_run && arguments.train) return graph_of_config(RunFolder(what).config(), arguments);
  require(!arguments.train, "--train needs a config or a run folder: a model alone does not say how it is trained", what);
  return open_model(is_run ? RunFolder(what).model() : std::filesystem::path(what)).graph;
}

struct Row {
  StepCost cost;
  StepEstimate step;
  std::vector<LaunchEstimate> launches;
};

std::vector<Row> estimate_all(const Plan& plan, cuda::Math math, const ResourceTable& resources, const DeviceSpec& spec) {
  std::vector<Row> rows;
  for (StepCost& cost : dry_run(plan, math)) {
    Row row{.cost = std::move(cost), .step = {}, .launches = {}};
    row.step = estimate(row.cost, math, spec);
    for (const cuda::LaunchRecord& launch : row.cost.launches) row.launches.push_back(estimate(launch, resources, spec));
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::string> marks_of(const StepEstimate& step, const LaunchEstimate& launch) {
  std::vector<std::string> marks;
  if (launch.few_blocks) marks.push_back("blocks");
  if (launch.low_occupancy) marks.push_back("occupancy");
  if (step.launch_bound) marks.push_back("launch");
  return marks;
}

struct Totals {
  size_t launches = 0, marked = 0, assumed = 0;
  double seconds = 0, bytes = 0, flops = 0;
};

Totals total(const std::vector<Row>& rows) {
  Totals totals;
  for (const Row& row : rows) {
    totals.launches += row.launches.size();
    totals.seconds += row.step.seconds;
    totals.bytes += static_cast<double>(row.cost.bytes_read + row.cost.bytes_written);
    totals.flops += row.cost.flops;
    for (const LaunchEstimate& launch : row.launches) {
      totals.marked += !marks_of(row.step, launch).empty();
      totals.assumed += launch.assumed;
    }
  }
  return totals;
}

std::string launch_text(const cuda::LaunchRecord& launch, const LaunchEstimate& estimated, const std::string& time) {
  const std::string kernel = short_kernel_name(launch.kernel).substr(0, 32);
  if (estimated.of_library) return fmt::format("{:<32} {:>8} {:>8} {:>9} {:>7} {:>7}", kernel, "-", "-", time, "-", "-");
  return fmt::format("{:<32} {:>8} {:>8} {:>9} {:>5.0f}%{} {:>7.2f}", kernel, launch.blocks, launch.threads, time,
                     estimated.occupancy * 100, estimated.assumed ? "?" : " ", estimated.waves);
}

void print_table(const Plan& plan, const std::vector<Row>& rows, const DeviceSpec& spec) {
  fmt::print("{:>5}  {:<20} {:>9} {:>9} {:>9} {:>8}  {:<32} {:>8} {:>8} {:>9} {:>6} {:>7}  {}\n", "step", "op", "KB read",
             "KB writ.", "MFLOP", "FLOP/B", "kernel", "blocks", "threads", "at best", "occup.", "waves", "marks");
  for (const Row& row : rows) {
    const std::string step =
        fmt::format("{:>5}  {:<20} {:>9.1f} {:>9.1f} {:>9.3f} {:>8.2f}", row.cost.step, row.cost.op,
                    static_cast<double>(row.cost.bytes_read) / 1e3, static_cast<double>(row.cost.bytes_written) / 1e3,
                    row.cost.flops / 1e6, row.step.intensity);
    if (row.launches.empty()) fmt::print("{}  (no launch)\n", step);
    for (size_t i = 0; i < row.launches.size(); ++i) {
      const std::string time = i == 0 ? fmt::format("{:.2f} us", row.step.seconds * 1e6) : "";
      fmt::print("{:<66}  {}  {}\n", i == 0 ? step : "", launch_text(row.cost.launches[i], row.launches[i], time),
                 fmt::join(marks_of(row.step, row.launches[i]), " "));
    }
  }
  const Totals totals = total(rows);
  const Traffic traffic = traffic_of(plan);
  fmt::print(
      "\n{} launches of {} steps, {} of them marked; {:.3f} MB moved, {:.3f} GFLOP; at best {:.1f} us on {} ({:.2f} TB/s, {:.1f} "
      "TFLOP/s in f32)\n"
      "copied in one run: {} bytes to the GPU, {} bytes back; {} steps on the CPU\n",
      totals.launches, rows.size(), totals.marked, totals.bytes / 1e6, totals.flops / 1e9, totals.seconds * 1e6, spec.name,
      spec.bytes_per_second / 1e12, spec.f32 / 1e12, traffic.to_device, traffic.to_host, traffic.host_steps);
  if (totals.assumed > 0)
    fmt::print("?: no row for the kernel on {} in the table of registers; {} registers and no static shared memory are assumed\n",
               spec.architecture, kAssumedResources.registers);
}

nlohmann::json step_json(const Row& row) {
  nlohmann::json launches = nlohmann::json::array();
  for (size_t i = 0; i < row.launches.size(); ++i) {
    const cuda::LaunchRecord& launch = row.cost.launches[i];
    launches.push_back({{"kernel", short_kernel_name(launch.kernel)},
                        {"blocks", launch.blocks},
                        {"threads", launch.threads},
                        {"shared_bytes", launch.shared},
                        {"occupancy", row.launches[i].of_library ? nlohmann::json() : nlohmann::json(row.launches[i].occupancy)},
                        {"waves", row.launches[i].waves},
                        {"resources_assumed", row.launches[i].assumed},
                        {"marks", marks_of(row.step, row.launches[i])}});
  }
  return {{"step", row.cost.step},
          {"op", row.cost.op},
          {"output", row.cost.output},
          {"bytes_read", row.cost.bytes_read},
          {"bytes_written", row.cost.bytes_written},
          {"flops", row.cost.flops},
          {"intensity", row.step.intensity},
          {"seconds_at_best", row.step.seconds},
          {"bound", row.step.memory_bound ? "memory" : "arithmetic"},
          {"launches", launches}};
}

nlohmann::json json_of(const Plan& plan, const std::vector<Row>& rows, const DeviceSpec& spec) {
  const Totals totals = total(rows);
  const Traffic traffic = traffic_of(plan);
  nlohmann::json steps = nlohmann::json::array();
  for (const Row& row : rows) steps.push_back(step_json(row));
  return {{"device", spec.name},
          {"bytes_per_second", spec.bytes_per_second},
          {"f32_flops_per_second", spec.f32},
          {"launches", totals.launches},
          {"marked", totals.marked},
          {"resources_assumed", totals.assumed},
          {"bytes", totals.bytes},
          {"flops", totals.flops},
          {"seconds_at_best", totals.seconds},
          {"copied_to_gpu_bytes", traffic.to_device},
          {"copied_to_host_bytes", traffic.to_host},
          {"steps_on_cpu", traffic.host_steps},
          {"steps", steps}};
}

void check_arguments(const BenchArguments& arguments) {
  require(!arguments.model.empty(), "give one model, config or run folder; usage: " + kUsageText.line);
  require(arguments.dry_run, "give --dry-run: a roofline is estimated, not measured; scripts/gpu_check measures on a GPU");
  require(arguments.batch >= 0, "--batch takes a whole number above 0", arguments.batch);
}

}  // namespace

int bench_roofline_command(int argc, char** argv) {
  BenchArguments arguments;
  po::options_description options("options");
  options.add_options()("model", po::value(&arguments.model), "a model, a config or a run folder (also as a plain word)")(
      "device", po::value(&arguments.device)->default_value("h200"), "whose limits: h200, h100, a100, l40s or l4")(
      "dry-run", po::bool_switch(&arguments.dry_run), "estimate without a GPU; the only way so far")(
      "batch", po::value(&arguments.batch)->default_value(0), "rows; 0: the config's batch size, or 64 for a model")(
      "train", po::bool_switch(&arguments.train), "the training step instead of the inference")(
      "math", po::value(&arguments.math)->default_value("strict"), "strict, or fast: TF32 for f32 products")(
      "resources", po::value(&arguments.resources),
      "a table of registers and shared memory; default: the one this program was built with");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "model", values)) return kOk;
  check_arguments(arguments);
  const cuda::Math math = is_fast_math(arguments.math) ? cuda::Math::kFast : cuda::Math::kStrict;
  const DeviceSpec& spec = find_device_spec(arguments.device);
  const std::string table =
      arguments.resources.empty() ? std::string(built_in_resources()) : read_file(arguments.resources, Limits{}.text_file_bytes);
  const ResourceTable resources(table, spec.architecture);
  Graph graph = graph_of(arguments.model, arguments);
  const auto plan =
      make_plan(std::move(graph),
                {.bounds = {}, .default_bound = arguments.batch > 0 ? arguments.batch : kDefaultBatch, .target = Space::kDevice});
  const std::vector<Row> rows = estimate_all(*plan, math, resources, spec);
  if (values.contains("json"))
    std::cout << json_line(json_of(*plan, rows, spec)) << "\n";
  else
    print_table(*plan, rows, spec);
  return kOk;
}

}  // namespace tandem::cli
