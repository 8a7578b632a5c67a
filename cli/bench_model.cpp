// `tandem bench model`: how long a run of a model takes, and how near that is to what the machine can do.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/bench_subject.h"
#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/memory_report.h"
#include "cli/options.h"
#include "models/data/npy.h"
#include "models/run/read_inputs.h"
#include "runtime/exec/sample_inputs.h"
#include "runtime/model/open_model.h"
#include "runtime/plan/shapes.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem bench model FILE.onnx [--batch N] [--dim name=size] [--threads T]",
    "Times runs of a model on inputs that are made up from their declared types, or read from DATA as `tandem run` does. Beside the time\n"
    "stands its share of the ceilings that `tandem bench machine` measures, found in the same process: of arithmetic, the least time that\n"
    "its products could take over the time they took; of memory, the same of reading weights and inputs and writing outputs once (above\n"
    "1 where the caches keep them). Regard ratios of figures taken together; other programs and the clock move them all.",
    "  tandem bench model resnet50.onnx --batch 8 --threads 2\n"
    "  tandem bench model bert.onnx --dim batch=1 --dim sequence=128 --json\n"
    "  tandem bench model gpt2.onnx --input step.npz --profile    where the time goes, by op\n",
};

struct Arguments {
  std::string file, output, precision, math = "strict";
  std::vector<std::string> dims, inputs, disabled;
  int64_t batch = 0;
  int threads = 1;
  double seconds = 2;
  bool tune = false;
};

std::string symbol_at(const Value& input, size_t axis) {
  const Dim& dim = (*input.type.dims)[axis];
  return dim.symbol.empty() ? input.name + "." + std::to_string(axis) : dim.symbol;
}

// The sizes of open dimensions: --dim, and --batch for those that come first.
std::map<std::string, int64_t, std::less<>> sizes_of(const Graph& graph, const Arguments& arguments) {
  std::map<std::string, int64_t, std::less<>> sizes;
  for (ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    if (input.type.dims && !input.type.dims->empty() && !input.type.dims->front().known())
      sizes[symbol_at(input, 0)] = std::max<int64_t>(1, arguments.batch);
  }
  require(arguments.batch == 0 || !sizes.empty(),
 "--batch says nothing to a model whose inputs have a fixed first dimension");
  for (const std::string& text : arguments.dims) {
    const size_t equals = text.rfind('=');
    const std::string number = equals == std::string::npos ? "" : text.substr(equals + 1);
    require(!number.empty() && number.size() < 12 && number.find_first_not_of("0123456789") == std::string::npos,
            "--dim takes name=size", text);
    sizes[text.substr(0, equals)] = std::stoll(number);
  }
  return sizes;
}

std::vector<Shape> shapes_of(const Graph& graph, const Feed& feed) {
  std::vector<Shape> shapes;
  for (ValueId id : graph.inputs) shapes.push_back(feed.at(graph.value(id).name).shape());
  return shapes;
}

// A model with its inputs, ready to run.
class Subject {
 public:
  explicit Subject(const Arguments& arguments) : threads_(arguments.threads) {
    const PassOptions passes{.disabled = {arguments.disabled.begin(), arguments.disabled.end()}};
    auto [graph, reports, packs, panels] = open_model(arguments.file, {.given = names_given(arguments.inputs), .passes = passes});
    feed_ = arguments.inputs.empty() ? sample_inputs(graph, sizes_of(graph, arguments)) : read_inputs(graph, arguments.inputs);
    const PlanOptions options{.threads = threads_, .bounds = bounds_of(graph, shapes_of(graph, feed_)),
                              .precision = precision_of(arguments.precision), .fast_math = is_fast_math(arguments.math), .tuning = tuning_of(arguments.tune),
                              .disabled_passes = passes.disabled, .packs = packs};
    plan_ = make_plan(std::move(graph), options);
    executor_ = std::make_unique<Executor>(plan_);
    inputs_ = inputs_of(plan_->graph, feed_);
    run();
    run();  // what the first one has to make is made
    plan_bytes_ = plan_->peak_bytes() + executor_->dynamic_peak_bytes();
    process_bytes_ = process_peak_bytes();
  }

  void run() { outputs_ = executor_->run(inputs_); }
  Timing time(double seconds) {
    return time_runs(seconds, [this] { run(); });
  }
  // What each op takes, in some more runs; not in the first, which gets its memory from the system.
  std::vector<OpRow> profile(double seconds) const {
    Profiler profiler;
    Executor executor(plan_, {.profiler = &profiler});
    executor.run(inputs_);
    const size_t first = profiler.events().size();
    const Timing timing = time_runs(seconds, [&] { executor.run(inputs_); });
    return rows_by_op(*plan_, std::span(profiler.events()).subspan(first), timing.runs);
  }
  const Plan& plan() const { return *plan_; }
  int threads() const { return threads_; }
  int64_t plan_bytes() const { return plan_bytes_; }
  int64_t process_bytes() const { return process_bytes_; }
  // Weights, inputs and outputs: what a run cannot do without moving, at least once.
  int64_t bytes_moved() const {
    int64_t bytes = plan_->host.constants;
    for (const ConstTensorView& view : inputs_) bytes += static_cast<int64_t>(view.bytes());
    for (const ConstTensorView& view : outputs_) bytes += static_cast<int64_t>(view.bytes());
    return bytes;
  }
  NamedTensors outputs() const {
    NamedTensors named;
    for (size_t i = 0; i < outputs_.size(); ++i)
      named.emplace_back(plan_->graph.value(plan_->graph.outputs[i]).name, Tensor::copy_of(outputs_[i]));
    return named;
  }

 private:
  int threads_;
  Feed feed_;
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Executor> executor_;
  std::vector<ConstTensorView> inputs_;
  std::span<const ConstTensorView> outputs_;
  int64_t plan_bytes_ = 0, process_bytes_ = 0;
};

void measure_and_print(Subject& subject, const Arguments& arguments, bool profile, bool json) {
  const BenchReport report = measure(subject, arguments.seconds, arguments.threads, profile);
  if (json)
    std::cout << json_line(json_of(report)) << "\n";
  else
    print(report, arguments.threads);
}

void check(const Arguments& arguments) {
  require(!arguments.file.empty(), "no model given; usage: " + kUsageText.line);
  require(arguments.threads >= 1 && arguments.threads <= kMostThreads, fmt::format("--threads must lie in [1, {}]", kMostThreads),
          arguments.threads);
  require(arguments.batch >= 0, "--batch takes a whole number above 0", arguments.batch);
  require(arguments.seconds > 0 && arguments.seconds < 1e6, "--seconds takes a number above 0", arguments.seconds);
  require(arguments.inputs.empty() || (arguments.batch == 0 && arguments.dims.empty()), "--input says the sizes: leave out --batch and --dim");
  precision_of(arguments.precision);
}

}  // namespace

int bench_model_command(int argc, char** argv) {
  Arguments arguments;
  bool profile = false, on_request = false;
  po::options_description options("options");
  options.add_options()("file", po::value(&arguments.file), "the model (also as a plain word)")(
      "batch", po::value(&arguments.batch)->default_value(0), "size of the inputs' first dimension where it is open; 0: 1")(
      "dim", po::value(&arguments.dims)->composing(), "name=size of an open dimension; may be repeated")(
      "input,i", po::value(&arguments.inputs)->composing(), "data instead of made-up inputs; may be repeated")(
      "threads", po::value(&arguments.threads)->default_value(1), "threads of a run")(
      "precision", po::value(&arguments.precision)->default_value("f32"), "of the products of floats: f32 or bf16")(
      "math", po::value(&arguments.math)->default_value(arguments.math), "strict: f32 sums are direct; fast: Winograd's convolutions where faster")(
      "seconds", po::value(&arguments.seconds)->default_value(2), "to measure for")(
      "profile", po::bool_switch(&profile), "then tell where the time goes, by op")(
      "output,o", po::value(&arguments.output), "write the outputs to this .npz file")(
      "disable-pass", po::value(&arguments.disabled), "leave a pass out")(
      "on-request", po::bool_switch(&on_request), "for scripts: a line of input is a number of seconds to measure for, a line of JSON the answer");
  add_tune_flag(options, arguments.tune);
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "file", values)) return kOk;
  check(arguments);
  Subject subject(arguments);
  if (!arguments.output.empty()) write_npz(arguments.output, subject.outputs());
  if (on_request)
    answer_requests(subject, nlohmann::json::object());
  else
    measure_and_print(subject, arguments, profile, values.contains("json"));
  return kOk;
}

}  // namespace tandem::cli
