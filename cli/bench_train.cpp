// `tandem bench train`: how long a training step takes (forward, backward, update), and how near that is to what the machine can
// do.
#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "cli/bench_subject.h"
#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/memory_report.h"
#include "cli/options.h"
#include "models/run/training_sample.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem bench train FILE.onnx|CONFIG.ini [--batch N] [--threads T]",
    "Times training steps on one batch. An ONNX file gets a loss behind its scores (cross entropy; the last axis are the "
    "classes), is differentiated\n"
    "and trained: any network whose ops have gradients. Data are made up, or read from DATA, with the labels as 'target'. A "
    "config is trained on\n"
    "the first rows of its data. Before it is timed the loss must have fallen. Figures are those of `tandem bench model`.",
    "  tandem bench train resnet18.onnx --input batch.npz --optimizer sgd --threads 2\n"
    "  tandem bench train gpt.onnx --input batch.npz --optimizer adamw --learning-rate 1e-3 --profile\n"
    "  tandem bench train models/configs/mnist.ini --batch 64 --json\n",
};

constexpr int kWarmUp = 6;

struct Arguments {
  std::string file, optimizer = "sgd", precision = "f32", math = "strict";
  std::vector<std::string> inputs;
  ImportedNetwork network;
  float learning_rate = 0.01f, momentum = 0.9f, weight_decay = 0;
  int64_t batch = 0;
  int threads = 1, losses = 5;
  double seconds = 2;
};

OptimizerKind optimizer_of(const std::string& name) {
  if (name == "sgd") return OptimizerKind::kSgd;
  if (name == "adam") return OptimizerKind::kAdam;
  require(name == "adamw", "--optimizer takes sgd, adam or adamw", name);
  return OptimizerKind::kAdamW;
}

TrainingSample sample_of(const Arguments& arguments) {
  if (std::filesystem::path(arguments.file).extension() == ".ini") {
    RunConfig config;
    config.read_file(arguments.file);
    return sample_of_config(config, arguments.batch);
  }
  StepConfig step;
  step.optimizer = {
      .kind = optimizer_of(arguments.optimizer), .momentum = arguments.momentum, .weight_decay = arguments.weight_decay};
  step.schedule.learning_rate = arguments.learning_rate;
  step.precision = precision_of(arguments.precision);
  return sample_of_model({arguments.file, arguments.network, step, arguments.inputs, arguments.batch});
}

// A trainer and the batch it is given each time.
class Subject {
 public:
  explicit Subject(const Arguments& arguments)
      : arguments_(arguments), sample_(sample_of(arguments)), trainer_(make_trainer(nullptr)) {
    for (int i = 0; i < std::max(arguments.losses, kWarmUp); ++i) {
      losses_.push_back(step(*trainer_));
      check(std::isfinite(losses_.back()), ErrorCode::kInvalidArgument, "the loss is not finite: lower --learning-rate (step)",
            i);
    }
    require(losses_.back() < losses_.front(), "the loss does not fall: try another --learning-rate (first, last)",
            losses_.front(), losses_.back());
    losses_.resize(static_cast<size_t>(arguments.losses));
    process_bytes_ = process_peak_bytes();
  }

  Timing time(double seconds) {
    return time_runs(seconds, [this] { step(*trainer_); });
  }
  // What each op takes, in some more steps; not in the first, which gets its memory from the system.
  std::vector<OpRow> profile(double seconds) const {
    Profiler profiler;
    const std::unique_ptr<Trainer> trainer = make_trainer(&profiler);
    step(*trainer);
    const size_t first = profiler.events().size();
    const Timing timing = time_runs(seconds, [&] { step(*trainer); });
    return rows_by_op(trainer->update_plan(), std::span(profiler.events()).subspan(first), timing.runs);
  }
  const Plan& plan() const { return trainer_->update_plan(); }
  const std::vector<double>& losses() const { return losses_; }  // of the first steps
  int64_t batch() const { return sample_.batch; }
  int64_t plan_bytes() const { return plan().peak_bytes(); }
  int64_t process_bytes() const { return process_bytes_; }
  // Weights and moments, and the batch: what a step cannot do without moving, at least once.
  int64_t bytes_moved() const {
    int64_t bytes = plan().host.states;
    for (const auto& [name, tensor] : sample_.feed) bytes += static_cast<int64_t>(tensor.bytes());
    return bytes;
  }

 private:
  std::unique_ptr<Trainer> make_trainer(Profiler* profiler) const {
    return std::make_unique<Trainer>(
        sample_.network, sample_.step,
        Trainer::Options{.micro_batch = sample_.batch, .threads = arguments_.threads, .profiler = profiler, .fast_math = is_fast_math(arguments_.math)});
  }
  double step(Trainer& trainer) const {
    return trainer.step([this](int64_t) -> const Feed& { return sample_.feed; }).loss;
  }

  const Arguments& arguments_;
  const TrainingSample sample_;
  std::unique_ptr<Trainer> trainer_;
  std::vector<double> losses_;
  int64_t process_bytes_ = 0;
};

void measure_and_print(Subject& subject, const Arguments& arguments, bool profile, bool json) {
  const BenchReport report = measure(subject, arguments.seconds, arguments.threads, profile);
  if (json) {
    nlohmann::json object = json_of(report);
    object["losses"] = subject.losses(), object["batch"] = subject.batch();
    std::cout << json_line(object) << "\n";
    return;
  }
  fmt::print("losses      {:.6g}\n", fmt::join(subject.losses(), ", "));
  print(report, arguments.threads);
}

void check(const Arguments& arguments) {
  require(!arguments.file.empty(), "no model or config given; usage: " + kUsageText.line);
  require(arguments.threads >= 1 && arguments.threads <= kMostThreads, fmt::format("--threads must lie in [1, {}]", kMostThreads),
          arguments.threads);
  require(arguments.batch >= 0, "--batch takes a whole number above 0", arguments.batch);
  require(arguments.losses >= 0 && arguments.losses <= 1000, "--losses must lie in [0, 1000]", arguments.losses);
  require(arguments.seconds > 0 && arguments.seconds < 1e6, "--seconds takes a number above 0", arguments.seconds);
}

void add_options(po::options_description& options, Arguments& arguments) {
  options.add_options()("file", po::value(&arguments.file), "the model or config (also as a plain word)")(
      "batch", po::value(&arguments.batch)->default_value(0), "rows; 0: those of the data")(
      "input,i", po::value(&arguments.inputs)->composing(), "data for an ONNX file, labels as 'target'; may be repeated")(
      "scores", po::value(&arguments.network.scores), "the output that the loss reads; without: the first")(
      "parameter", po::value(&arguments.network.parameters)->composing(),
      "a constant to train, may be repeated; without: all weights")(
      "optimizer", po::value(&arguments.optimizer)->default_value("sgd"), "sgd, adam or adamw")(
      "learning-rate", po::value(&arguments.learning_rate)->default_value(0.01f, "0.01"), "constant")(
      "momentum", po::value(&arguments.momentum)->default_value(0.9f, "0.9"), "of sgd")(
      "weight-decay", po::value(&arguments.weight_decay)->default_value(0), "of matrices and filters")(
      "precision", po::value(&arguments.precision)->default_value(arguments.precision), "of an ONNX file's products: f32 or bf16; a config has its own")(
      "math", po::value(&arguments.math)->default_value(arguments.math), "strict: f32 sums are direct; fast: Winograd's convolutions where faster")(
      "threads", po::value(&arguments.threads)->default_value(1), "threads of a step")(
      "losses", po::value(&arguments.losses)->default_value(5), "losses of first steps to tell")(
      "seconds", po::value(&arguments.seconds)->default_value(2), "to measure for");
}

}  // namespace

int bench_train_command(int argc, char** argv) {
  Arguments arguments;
  bool profile = false, plan = false, on_request = false;
  po::options_description options("options");
  add_options(options, arguments);
  options.add_options()("profile", po::bool_switch(&profile), "then tell where the time goes, by op")(
      "plan", po::bool_switch(&plan), "print the step's schedule and its memory, and time nothing")(
      "on-request", po::bool_switch(&on_request),
      "for scripts: a line of input is a number of seconds to measure for, a line of JSON the answer");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "file", values)) return kOk;
  check(arguments);
  Subject subject(arguments);
  if (plan)
    fmt::print("{}", to_text(subject.plan()));
  else if (on_request)
    answer_requests(subject, {{"losses", subject.losses()}, {"gflop", work_of(subject.plan()).sum() * 1e-9}});
  else
    measure_and_print(subject, arguments, profile, values.contains("json"));
  return kOk;
}

}  // namespace tandem::cli
