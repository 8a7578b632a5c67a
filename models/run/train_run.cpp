#include "models/run/train_run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "models/run/build_network.h"
#include "models/run/machine.h"
#include "models/run/manifest.h"
#include "models/run/rank_device.h"
#include "models/run/run_folder.h"
#include "models/run/run_page.h"
#include "models/run/version.h"
#include "runtime/comm/device_communicator.h"
#include "runtime/device/device_text.h"
#include "runtime/io/file.h"
#include "runtime/onnx/onnx.h"
#include "runtime/plan/traffic.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kEvaluationBatch = 256;
constexpr int kResamples = 1000;
constexpr int64_t kGoldenRows = 4;
constexpr int64_t kBaselineEpochs = 20;
constexpr int kStepsToCapture = 4;  // two runs with each of the two feed buffers

class TrainRun {
 public:
  TrainRun(const RunConfig& config, const TrainRunOptions& options, const TrainRunEvents& events)
      : config_(config), options_(options), events_(events), folder_(options.out) {
    rank_ = options.communicator ? options.communicator->rank() : 0;
    world_ = options.communicator ? options.communicator->size() : 1;
  }

  TrainRunResult run() {
    const auto start = Clock::now();
    check_folder();
    device_ = open_rank_device(config_.device, rank_, world_);
    check_strict_device(config_.strict_device, device_.get(), config_.device);
    load();
    check_config();
    const Network network = build_network(config_, config_.model, *data_.train, split_.train);
    agree(network);
    if (rank_ == 0) open_folder();
    connect();
    if (config_.baselines) train_baselines();
    Trainer trainer(network, step_config(config_.epochs), trainer_options());
    const FitResult fitted = train(trainer);
    trainer.end_steps();
    gpus_.reset();  // all ranks are here, as NCCL wants it
    result_.stopped = fitted.stopped;
    result_.epochs = fitted.resumed_epoch + static_cast<int64_t>(fitted.epochs.size());
    result_.best_epoch = fitted.best_epoch;
    result_.early = fitted.early;
    result_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (!fitted.stopped && rank_ == 0) finish(trainer);  // the other ranks are done
    return std::move(result_);
  }

 private:
  void note(const std::string& text) const {
    if (rank_ == 0 && events_.note) events_.note(text);
  }

  void check_folder() {
    if (!options_.resume) return folder_.check_unused();
    check(std::filesystem::exists(folder_.config()), ErrorCode::kNotFound, "there is no run to resume in this folder",
          folder_.path().string());
    require(!folder_.finished(), "this run is finished: nothing to resume", folder_.path().string());
    resume_ = std::filesystem::exists(folder_.last_checkpoint());  // without one nothing was done yet
  }

  // Only when the input was found to be good: a slip in it leaves nothing behind.
  void open_folder() {
    RunConfig resolved = config_;
    const std::string text = write_config(resolved.keys());
    collect_facts(text);
    if (!options_.resume) {
      folder_.create();
      write_file(folder_.config(), text);
    }
    write_file(folder_.facts(), nlohmann::json(facts_).dump(1) + "\n");
  }

  void load() {
    note(fmt::format("reading {}", std::filesystem::path(config_.path).filename().string()));
    data_ = load_dataset(config_.data_config());
    split_ = split_rows(*data_.train, config_.split_options());
    if (data_.test) {
      test_rows_.resize(static_cast<size_t>(data_.test->rows()));
      for (size_t i = 0; i < test_rows_.size(); ++i) test_rows_[i] = static_cast<int64_t>(i);
    } else {
      test_rows_ = split_.test;
    }
    note(fmt::format("{} rows: {} train, {} validate, {} test (split {})",
                     data_.train->rows() + (data_.test ? data_.test->rows() : 0), split_.train.size(), split_.validation.size(),
                     test_rows_.size(), split_.id.substr(0, 12)));
  }

  void check_config() const {
    const auto rows = static_cast<int64_t>(split_.train.size());
    require(config_.batch_size % (world_ * config_.accumulate) == 0,
            "train.batch_size must divide by ranks times train.accumulate (batch size, ranks, micro-batches)", config_.batch_size,
            world_, config_.accumulate);
    require(config_.batch_size <= rows, "train.batch_size is larger than the training part (batch size, training rows)",
            config_.batch_size, rows);
    if (config_.monitor != "loss") {
      const Target& target = data_.train->target();
      require(target.kind == TargetKind::kClass && (config_.monitor != "roc_auc" || target.class_names.size() == 2),
              "train.monitor cannot be measured on this label; use loss", config_.monitor);
      require(!split_.validation.empty(), "train.monitor needs validation rows: set data.validation_share, or monitor the loss",
              config_.monitor);
    }
    if (!options_.resume) return;
    const std::map<std::string, std::string> begun = folder_.read_facts();
    const auto same = [&](const char* fact, const std::string& now) { return !begun.contains(fact) || begun.at(fact) == now; };
    require(same("data_sha256", data_.hash) && same("split_id", split_.id), "the data has changed since this run was begun",
            config_.path);
  }

  const Dataset& test_data() const { return data_.test ? *data_.test : *data_.train; }

  // All ranks train the same network on the same rows.
  void agree(const Network& network) const {
    if (!options_.communicator) return;
    const Fact facts[] = {{"data", data_.hash},
                          {"split", split_.id},
                          {"seed", std::to_string(config_.seed)},
                          {"network", sha256(serialize_onnx(network.graph))},
                          {"source version", std::string(source_version())}};
    check_agreement(*options_.communicator, facts);
  }

  // Gradients stay on the GPUs if they can reach each other.
  void connect() {
    if (!options_.communicator || config_.device == "cpu") return;
    ConnectedDevices connected = connect_devices(*options_.communicator, device_);
    gpus_ = std::move(connected.communicator);
    if (gpus_)
      note(fmt::format("gradients are exchanged between the GPUs by {}", gpus_->description()));
    else if (device_)
      note(fmt::format("gradients are exchanged through the CPUs' memory: {}", connected.problem));
  }

  StepConfig step_config(int64_t epochs) const {
    RunConfig config = config_;
    config.epochs = epochs;
    return config.step_config(world_, static_cast<int64_t>(split_.train.size()) / config_.batch_size);
  }

  int64_t micro_batch() const { return config_.batch_size / (world_ * config_.accumulate); }
  Trainer::Options trainer_options() const {
    return {.micro_batch = micro_batch(),
            .evaluation_batch = rank_ == 0 ? kEvaluationBatch : 0,
            .threads = options_.threads,
            .communicator = options_.communicator,
            .device = device_,
            .strict_device = config_.strict_device,
            .fast_math = config_.math == "fast"};
  }
  FitOptions fit_options() const {
    FitOptions fit;
    fit.epochs = config_.epochs;
    fit.batch_size = config_.batch_size;
    fit.micro_batch = micro_batch();
    fit.writes = rank_ == 0;
    fit.communicator = options_.communicator;
    fit.stop = options_.stop;
    return fit;
  }
  BootstrapOptions bootstrap() const {
    return {.resamples = kResamples, .seed = static_cast<uint64_t>(config_.seed), .threads = options_.threads};
  }

  void collect_facts(std::string_view config) {
    facts_ = {{"tandem", std::string(kVersion)},
              {"source_version", std::string(source_version())},
              {"config_sha256", sha256(config)},
              {"data_sha256", data_.hash},
              {"split_id", split_.id},
              {"seed", std::to_string(config_.seed)},
              {"ranks", std::to_string(world_)},
              {"threads_per_rank", std::to_string(options_.threads)},
              {"device", device_text(device_.get())},
              {"math", config_.math},
              {"precision", config_.precision},
              {"train_rows", std::to_string(split_.train.size())},
              {"validation_rows", std::to_string(split_.validation.size())},
              {"test_rows", std::to_string(test_rows_.size())},
              {"started", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::now()))}};
    for (const auto& [key, value] : machine_facts()) facts_[key] = value;
  }

  // Majority class needs no training; logistic regression is the same job with one linear layer. Neither is checkpointed: both
  // take seconds.
  void train_baselines() {
    note("baselines: majority class, logistic regression");
    RunConfig config = config_;
    config.optimizer = "adam";
    config.learning_rate = 0.01f;
    config.schedule = "cosine";
    config.warmup_steps = 0;
    config.weight_decay = 0;
    config.clip_norm = 0;
    config.epochs = std::min(kBaselineEpochs, std::max<int64_t>(config_.epochs, 1));
    ModelConfig logistic;
    logistic.kind = "logistic";
    const Network network = build_network(config, logistic, *data_.train, split_.train);
    Trainer trainer(network, config.step_config(world_, static_cast<int64_t>(split_.train.size()) / config.batch_size),
                    trainer_options());
    FitOptions fit_with = fit_options();
    fit_with.epochs = config.epochs;
    const FitResult fitted = fit(trainer, *data_.train, Sampler(split_.train, static_cast<uint64_t>(config_.seed)), fit_with, {});
    if (!fitted.stopped) baseline_ = trainer.trained();
  }

  FitResult train(Trainer& trainer) {
    const Plan& plan = trainer.update_plan();
    int64_t parameters = 0;
    for (const ParameterInfo& parameter : trainer.graphs().parameters) parameters += parameter.shape.elements();
    note(fmt::format("training {}: {} parameters, {} nodes a step, {:.1f} MiB at the peak, {} rank{} x {} thread{}",
                     config_.model.kind, parameters, plan.graph.nodes.size(), static_cast<double>(plan.peak_bytes()) / (1 << 20),
                     world_, world_ > 1 ? "s" : "", options_.threads, options_.threads > 1 ? "s" : ""));
    if (device_) note(device_note(plan));
    FitOptions fit_with = fit_options();
    fit_with.patience = config_.patience;
    fit_with.checkpoint_steps = config_.checkpoint_steps;
    fit_with.checkpoints = folder_.checkpoints();
    fit_with.resume = resume_;
    bool first = true;
    FitCallbacks callbacks;
    if (!split_.validation.empty()) callbacks.validate = [&] { return validate(trainer); };
    callbacks.epoch_done = [&](const EpochRecord& record) {
      if (rank_ != 0) return;
      if (first) epochs_ = folder_.read_epochs(record.epoch - 1);
      first = false;
      epochs_.push_back(record);
      folder_.write_epochs(epochs_);
      if (events_.epoch_done) events_.epoch_done(record);
    };
    if (rank_ == 0) callbacks.progress = progress_with_capture(trainer);
    FitResult fitted =
        fit(trainer, *data_.train, Sampler(split_.train, static_cast<uint64_t>(config_.seed)), fit_with, callbacks);
    if (first && rank_ == 0) epochs_ = folder_.read_epochs(fitted.resumed_epoch);
    return fitted;
  }

  // Where a step on a GPU runs.
  std::string device_note(const Plan& plan) const {
    const Traffic traffic = traffic_of(plan);
    std::string text =
        fmt::format("on {}: {} steps there, {} on the CPU, {:.1f} MiB of its memory", device_text(device_.get()),
                    traffic.device_steps, traffic.host_steps, static_cast<double>(plan.device.total()) / (1 << 20));
    if (!plan.placement.without_twin.empty())
      text += fmt::format("; on the CPU for want of a CUDA kernel: {}", fmt::join(plan.placement.without_twin, ", "));
    return text;
  }

  // On a GPU also tells, once, what was captured.
  std::function<void(const FitProgress&)> progress_with_capture(const Trainer& trainer) const {
    if (!device_) return events_.progress;
    return [this, &trainer, steps = 0](const FitProgress& progress) mutable {
      if (++steps == kStepsToCapture) note(fmt::format("the training step is {}", trainer.capture_report()));
      if (events_.progress) events_.progress(progress);
    };
  }

  Validation validate(Trainer& trainer) const {
    Validation validation;
    validation.metrics = validation_metrics(trainer.evaluator(), *data_.train, split_.validation, kEvaluationBatch);
    const double monitored = validation.metrics.at(config_.monitor);
    validation.monitored = config_.monitor == "loss" ? monitored : -monitored;
    return validation;
  }

  // The test rows, once: the model, then the baselines.
  void finish(Trainer& trainer) {
    note(fmt::format("testing on {} rows", test_rows_.size()));
    save_onnx(trainer.trained().graph, folder_.model());
    const Evaluation model = evaluate_model(trainer.evaluator(), test_data(), test_rows_, kEvaluationBatch, bootstrap());
    result_.test_rows = model.rows;
    result_.contestants.push_back({"model", model.metrics});
    if (config_.baselines) {
      result_.contestants.push_back(
          {"majority class", evaluate_majority(*data_.train, split_.train, test_data(), test_rows_, bootstrap()).metrics});
      Executor logistic(make_plan(baseline_.graph, {.threads = options_.threads, .default_bound = kEvaluationBatch}));
      result_.contestants.push_back(
          {"logistic regression", evaluate_model(logistic, test_data(), test_rows_, kEvaluationBatch, bootstrap()).metrics});
    }
    write_run_page({config_, folder_, facts_, epochs_, result_, model, test_data().target().class_names});
    write_package();
  }

  void write_package() const {
    ManifestFacts manifest;
    manifest.lineage = facts_;
    manifest.class_names = test_data().target().class_names;
    manifest.test_rows = result_.test_rows;
    for (const Contestant& contestant : result_.contestants) manifest.metrics[contestant.name] = contestant.metrics;
    const auto golden = std::min<size_t>(kGoldenRows, test_rows_.size());
    manifest.golden_inputs = BatchFeed(test_data(), false).fill(std::span(test_rows_).first(golden));
    write_manifest(folder_.manifest(), folder_.model(), manifest);
  }

  const RunConfig& config_;
  const TrainRunOptions& options_;
  const TrainRunEvents& events_;
  RunFolder folder_;
  int rank_ = 0, world_ = 1;
  bool resume_ = false;
  LoadedData data_;
  Split split_;
  std::vector<int64_t> test_rows_;
  std::shared_ptr<Device> device_;            // null: the CPU
  std::unique_ptr<DeviceCommunicator> gpus_;  // between the ranks' GPUs, or null
  Network baseline_;
  std::map<std::string, std::string> facts_;
  std::vector<EpochRecord> epochs_;
  TrainRunResult result_;
};

}  // namespace

TrainRunResult train_run(const RunConfig& config, const TrainRunOptions& options, const TrainRunEvents& events) {
  return TrainRun(config, options, events).run();
}

}  // namespace tandem
