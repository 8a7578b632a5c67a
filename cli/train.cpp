// `tandem train`: config in, run folder out.
#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/metrics_table.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "models/run/run_folder.h"
#include "models/run/train_run.h"
#include "runtime/comm/communicator.h"
#include "runtime/comm/launcher.h"
#include "runtime/device/topology.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem train --config FILE --out DIR [options]",
    "Trains a model on real data. The run folder DIR gets the resolved config, metrics of every epoch, checkpoints, model.onnx "
    "with its\n"
    "manifest.json, and report.html. Every key of a config file is also a flag, and can be given with --set. Ctrl-C writes a "
    "checkpoint and exits\n"
    "with code 130; --resume goes on, to the bit as if the run had never stopped.",
    "  tandem train --config models/configs/adult.ini --out runs/adult\n"
    "  tandem train --config models/configs/adult.ini --out runs/adult --resume\n"
    "  tandem train --config models/configs/digits.ini --out runs/digits --seed 7 --train.epochs 10\n"
    "  tandem train --config models/configs/mnist.ini --out runs/mnist --nproc 2     two ranks, gradients summed\n"
    "  tandem train --config models/configs/mnist.ini --out runs/mnist --device cuda    on a GPU\n"
    "  tandem train --data.path people.csv --data.label churned --out runs/churn     your own table\n",
};

constexpr int kMostRanks = 64;

struct TrainArguments {
  std::string config, out;
  int64_t seed = -1;
  int nproc = 1, threads = 0;
  double deadline = 30;
  std::vector<std::string> settings;
  bool resume = false, json = false;
  DeviceFlags device;
};

// Prints what happens: JSON lines, a bar on a terminal, plain lines elsewhere.
class Narrator {
 public:
  explicit Narrator(bool json) : json_(json) {}

  TrainRunEvents events() {
    return {.note = [this](const std::string& text) { note(text); },
            .progress = [this](const FitProgress& progress) { show(progress); },
            .epoch_done = [this](const EpochRecord& record) { epoch(record); }};
  }

 private:
  using Clock = std::chrono::steady_clock;

  void note(const std::string& text) {
    bar_.clear();
    if (json_)
      std::cout << json_line(nlohmann::json{{"event", "note"}, {"text", text}}) << std::endl;
    else
      fmt::print("{}\n", text);
    std::fflush(stdout);
  }

  void show(const FitProgress& progress) {
    if (progress.step == 1 || progress.epoch != epoch_) {
      epoch_ = progress.epoch;
      epoch_start_ = Clock::now();
      first_step_ = progress.step;
      return;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - epoch_start_).count();
    const double steps_per_second = static_cast<double>(progress.step - first_step_) / std::max(seconds, 1e-9);
    const auto left = static_cast<double>((progress.epochs - progress.epoch) * progress.steps + progress.steps - progress.step);
    bar_.update(fmt::format("epoch {}/{}", progress.epoch, progress.epochs), progress.step, progress.steps,
                steps_per_second * static_cast<double>(progress.rows), "rows", left / std::max(steps_per_second, 1e-9),
                fmt::format("loss {:.4f}", progress.loss));
  }

  void epoch(const EpochRecord& record) {
    bar_.clear();
    if (json_) {
      std::cout << json_line(nlohmann::json{{"event", "epoch"},
                                            {"epoch", record.epoch},
                                            {"train_loss", record.train_loss},
                                            {"validation", record.validation},
                                            {"learning_rate", record.learning_rate},
                                            {"seconds", record.seconds},
                                            {"best", record.best}})
                << std::endl;
      return;
    }
    std::string validation;
    for (const auto& [name, value] : record.validation) validation += fmt::format("  {} {:.4f}", name, value);
    fmt::print("epoch {:3}  train loss {:.4f}  validation{}  {:.2f} s{}\n", record.epoch, record.train_loss, validation,
               record.seconds, record.best ? "  *" : "");
    std::fflush(stdout);
  }

  bool json_;
  ProgressBar bar_;
  int64_t epoch_ = 0, first_step_ = 0;
  Clock::time_point epoch_start_;
};

void add_flags(po::options_description& options, TrainArguments& arguments, RunConfig& defaults) {
  options.add_options()("config,c", po::value(&arguments.config), "the config file (INI)")(
      "out,o", po::value(&arguments.out), "the run folder")("seed", po::value(&arguments.seed), "short for --train.seed")(
      "nproc", po::value(&arguments.nproc)->default_value(1), "ranks on this machine; gradients are summed over them")(
      "threads", po::value(&arguments.threads)->default_value(0),
      "threads of each rank; 0: the allowed processors, shared by the ranks")("resume", po::bool_switch(&arguments.resume),
                                                                              "go on with the run in --out")(
      "deadline", po::value(&arguments.deadline)->default_value(30), "seconds a rank waits for another")(
      "set", po::value(&arguments.settings)->composing(), "key=value: any key of the config; may be repeated");
  add_device_flags(options, arguments.device);
  po::options_description keys("config keys (sections and keys of the file)");
  for (const ConfigKey& key : defaults.keys())
    keys.add_options()(key.name.c_str(), po::value<std::string>(), fmt::format("{} [{}]", key.help, key.get()).c_str());
  options.add(keys);
}

void apply_flags(const TrainArguments& arguments, const po::variables_map& values, RunConfig& config) {
  const auto keys = config.keys();
  for (const ConfigKey& key : keys)
    if (values.contains(key.name)) key.set(values[key.name].as<std::string>());
  for (const std::string& setting : arguments.settings) {
    const size_t equals = setting.find('=');
    require(equals != std::string::npos, "--set takes key=value", setting);
    set_key(keys, setting.substr(0, equals), setting.substr(equals + 1));
  }
  // Short for the keys of the same names.
  if (!values["device"].defaulted()) set_key(keys, "train.device", arguments.device.device);
  if (!values["math"].defaulted()) set_key(keys, "train.math", arguments.device.math);
  if (!values["precision"].defaulted()) set_key(keys, "train.precision", arguments.device.precision);
  if (arguments.device.strict) config.strict_device = true;
  if (arguments.seed >= 0) config.seed = arguments.seed;
  config.resolve_paths(std::filesystem::current_path());
}

// A run goes on with the configuration it began with; one given again must be the same, but for the device and how strictly it is
// kept to.
void resumed_config(const TrainArguments& arguments, const po::variables_map& values, RunConfig& config) {
  const RunFolder folder(arguments.out);
  check(std::filesystem::exists(folder.config()), ErrorCode::kNotFound, "there is no run to resume in this folder",
        arguments.out);
  RunConfig begun;
  begun.read_file(folder.config());
  if (arguments.config.empty())
    config = begun;
  else
    config.read_file(arguments.config);
  apply_flags(arguments, values, config);
  const auto before = begun.keys(), now = config.keys();
  for (size_t i = 0; i < now.size(); ++i)
    require(
        now[i].name == "train.device" || now[i].name == "train.strict_device" || before[i].get() == now[i].get(),
        "this run was begun with another value of " + now[i].name + "; `--out DIR --resume` alone goes on with it (then, now)",
        before[i].get(), now[i].get());
}

std::chrono::milliseconds milliseconds(double seconds) { return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)); }

std::vector<std::string> own_arguments(int argc, char** argv) {
  std::vector<std::string> arguments{"tandem"};
  arguments.insert(arguments.end(), argv, argv + argc);
  return arguments;
}

int launch(const TrainArguments& arguments, int argc, char** argv) {
  LaunchOptions options;
  options.ranks = arguments.nproc;
  options.arguments = own_arguments(argc, argv);
  // A frozen rank has used up the deadline already when the first one reports it.
  options.grace = std::min(std::chrono::milliseconds(2000), milliseconds(arguments.deadline));
  const LaunchResult result = launch_ranks(options);
  if (result.exit_code == 0) return kOk;
  if (result.exit_code == kInterrupted || result.exit_code == kUsage) return result.exit_code;
  fmt::print(stderr, "tandem train: {}; `--resume` goes on from the last checkpoint\n", result.message);
  return kRankFailed;
}

void print_result(const TrainArguments& arguments, const TrainRunResult& result) {
  if (result.stopped) {
    if (arguments.json)
      std::cout << json_line(nlohmann::json{{"event", "stopped"}, {"epochs", result.epochs}, {"out", arguments.out}})
                << std::endl;
    else
      fmt::print("stopped after {} epochs; go on with: tandem train --out {} --resume\n", result.epochs, arguments.out);
    return;
  }
  if (arguments.json) {
    nlohmann::json out{{"event", "done"},         {"out", arguments.out},          {"best_epoch", result.best_epoch},
                       {"epochs", result.epochs}, {"test_rows", result.test_rows}, {"seconds", result.seconds}};
    for (const Contestant& contestant : result.contestants) out["metrics"][contestant.name] = metrics_json(contestant.metrics);
    std::cout << json_line(out) << std::endl;
    return;
  }
  fmt::print("\n{} test rows, 95% intervals; best epoch {} of {}{}\n", result.test_rows, result.best_epoch, result.epochs,
             result.early ? " (stopped early)" : "");
  std::vector<MetricsColumn> columns;
  for (const Contestant& contestant : result.contestants) columns.push_back({contestant.name, contestant.metrics});
  fmt::print("{}\nrun folder  {}\nreport      {}/report.html\ntime        {:.1f} s\n", metrics_table(columns), arguments.out,
             arguments.out, result.seconds);
}

// A wrong input is met by every rank alike: rank 0 tells it.
int run_rank(const RunConfig& config, const TrainRunOptions& options, const TrainArguments& arguments) {
  const bool tells = !options.communicator || options.communicator->rank() == 0;
  Narrator narrator(arguments.json);
  try {
    const TrainRunResult result = train_run(config, options, narrator.events());
    if (tells) print_result(arguments, result);
    return result.stopped ? kInterrupted : kOk;
  } catch (const Error& error) {
    if (tells || exit_code(error.code()) != kUsage) throw;
    return kUsage;
  }
}

}  // namespace

int train_command(int argc, char** argv) {
  TrainArguments arguments;
  RunConfig config, defaults;
  po::options_description options("options");
  add_flags(options, arguments, defaults);
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "", values)) return kOk;
  arguments.json = values.contains("json");
  require(!arguments.out.empty(), "no run folder given: --out DIR");
  require(arguments.nproc >= 1 && arguments.nproc <= kMostRanks, fmt::format("--nproc must lie in [1, {}]", kMostRanks),
          arguments.nproc);
  require(arguments.threads >= 0 && arguments.threads <= kMostThreads, fmt::format("--threads must lie in [0, {}]", kMostThreads),
          arguments.threads);
  require(arguments.deadline >= 0.1 && arguments.deadline <= 86400, "--deadline takes 0.1 to 86400 seconds", arguments.deadline);
  if (arguments.resume) {
    resumed_config(arguments, values, config);
  } else {
    if (!arguments.config.empty()) config.read_file(arguments.config);
    apply_flags(arguments, values, config);
  }
  // What is not there is said once, not by each rank.
  if (config.device != "cpu" && probe_cuda().devices.empty()) open_device(config.device);
  if (arguments.nproc > 1 && !is_launched_rank()) return launch(arguments, argc, argv);

  const std::atomic<bool>& stop = stop_flag();
  std::unique_ptr<Communicator> communicator;
  if (is_launched_rank()) communicator = join_launched_group({.deadline = milliseconds(arguments.deadline)});
  TrainRunOptions run_options;
  run_options.out = arguments.out;
  run_options.resume = arguments.resume;
  run_options.threads = arguments.threads > 0 ? arguments.threads : allowed_cpus().threads;
  run_options.communicator = communicator.get();
  run_options.stop = &stop;
  return run_rank(config, run_options, arguments);
}

}  // namespace tandem::cli
