// `tandem run`: a model over rows of data.
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/memory_report.h"
#include "cli/options.h"
#include "models/data/npy.h"
#include "models/run/read_inputs.h"
#include "kernels/base/program_pages.h"
#include "runtime/exec/executor.h"
#include "runtime/exec/profiler.h"
#include "runtime/model/open_model.h"
#include "runtime/plan/shapes.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem run FILE.onnx --input DATA [--output out.npz]",
    "Runs a model on all rows of DATA. A .npz, .json or .csv file (.gz, .xz) gives the inputs by name; name=file.npy gives one "
    "of them.\n"
    "The outputs go to a .npz file, or to the terminal.",
    "  tandem run model.onnx --input x=rows.npy --output out.npz\n"
    "  tandem run runs/adult/model.onnx --input people.json\n"
    "  tandem run runs/adult/model.onnx --input people.csv --json\n"
    "  tandem run model.onnx --input rows.npz --profile trace.json   opens in https://ui.perfetto.dev and chrome://tracing\n",
};
constexpr int64_t kMostRowsShown = 20;

nlohmann::json json_of(const ConstTensorView& view) {
  nlohmann::json values = nlohmann::json::array();
  visit_any(view.dtype, [&]<class T>() {
    for (const T& v : view.as<T>()) values.push_back(v);
  });
  return {{"dtype", name(view.dtype)},
          {"shape", std::vector<int64_t>(view.shape.dims().begin(), view.shape.dims().end())},
          {"data", values}};
}

void print_output(const std::string& output, const ConstTensorView& view) {
  fmt::print("{} {}{}\n", output, name(view.dtype), to_string(view.shape));
  const int64_t rows = view.shape.rank() ? view.shape[0] : 1;
  if (view.elements() == 0) return;
  const int64_t width = view.elements() / rows;
  visit_any(view.dtype, [&]<class T>() {
    const auto values = view.as<T>();
    for (int64_t row = 0; row < std::min(rows, kMostRowsShown); ++row) {
      std::string line;
      for (int64_t i = 0; i < std::min<int64_t>(width, 16); ++i)
        line += fmt::format("  {}", values[static_cast<size_t>(row * width + i)]);
      fmt::print("{}{}\n", line, width > 16 ? "  ..." : "");
    }
  });
  if (rows > kMostRowsShown) fmt::print("  ... {} more rows; --output out.npz has all\n", rows - kMostRowsShown);
}

std::vector<Shape> shapes_of(const Graph& graph, const Feed& feed) {
  std::vector<Shape> shapes;
  for (ValueId id : graph.inputs) shapes.push_back(feed.at(graph.value(id).name).shape());
  return shapes;
}

int64_t bytes_of(const Feed& feed) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : feed) bytes += static_cast<int64_t>(tensor.bytes());
  return bytes;
}

}  // namespace

int run_command(int argc, char** argv) {
  po::options_description options("options");
  std::string file, output, profile;
  std::vector<std::string> inputs, disabled;
  int threads = 1;
  DeviceFlags flags;
  options.add_options()("file", po::value(&file), "the model (also as a plain word)")("input,i", po::value(&inputs)->composing(),
                                                                                      "data; may be repeated")(
      "output,o", po::value(&output), "write the outputs to this .npz file")("profile", po::value(&profile),
                                                                             "write a Chrome trace of the run to this file")(
      "threads", po::value(&threads)->default_value(1), "threads of the run")("memory", "tell what the plan and the process hold at most")("disable-pass", po::value(&disabled),
                                                                              "leave a pass out");
  add_device_flags(options, flags);
  add_tune_flag(options, flags.tune);
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "file", values)) return kOk;
  require(!file.empty(), "no model given; usage: " + kUsageText.line);
  require(threads >= 1 && threads <= kMostThreads, fmt::format("--threads must lie in [1, {}]", kMostThreads), threads);
  const ChosenDevice device(flags);
  auto [graph, reports, packs, panels] = open_model(file, {.given = names_given(inputs), .passes = {.disabled = {disabled.begin(), disabled.end()}}});
  return_program_pages();  // of the parser and the passes
  const Feed feed = read_inputs(graph, inputs);
  const PlanOptions planned = device.plan({.threads = threads, .bounds = bounds_of(graph, shapes_of(graph, feed)), .disabled_passes = {disabled.begin(), disabled.end()}, .packs = packs});
  Profiler profiler;
  // The plan alone has the weights: what kernels hold in another form is let go of.
  auto plan = make_plan(std::move(graph), planned);
  return_program_pages();  // of what packs and binds
  const ProcessFigure expected = values.contains("memory") ? process_figure(*plan, bytes_of(feed)) : ProcessFigure{};
  Executor executor(std::move(plan), device.executor({.profiler = profile.empty() ? nullptr : &profiler}));
  const auto results = run_feed(executor, feed);
  const MemoryReport memory = memory_report(executor, expected);
  const Graph& run_graph = executor.plan().graph;
  if (!profile.empty()) {
    profiler.write_trace(profile);
    fmt::print(stderr, "{}trace written to {}\n", profiler.summary(), profile);
  }
  NamedTensors named;
  nlohmann::json json;
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string& result = run_graph.value(run_graph.outputs[i]).name;
    if (!output.empty())
      named.emplace_back(result, Tensor::borrow(results[i]));
    else if (values.contains("json"))
      json["outputs"][result] = json_of(results[i]);
    else
      print_output(result, results[i]);
  }
  if (!output.empty()) {
    write_npz(output, named);
    if (values.contains("json"))
      json = {{"output", output}};
    else
      fmt::print("outputs written to {}\n", output);
  }
  if (values.contains("memory")) {
    if (values.contains("json"))
      json["memory"] = to_json(memory);
    else
      fmt::print("{}", to_text(memory));
  }
  if (values.contains("json")) std::cout << json_line(json) << "\n";
  return kOk;
}

}  // namespace tandem::cli
