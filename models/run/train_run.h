// A training run from config to run folder: data, baselines, training, the test, the report.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "models/run/evaluate.h"
#include "models/run/fit.h"
#include "models/run/run_config.h"

namespace tandem {

struct TrainRunOptions {
  std::filesystem::path out;  // the run folder
  bool resume = false;
  int threads = 1;                       // of this rank
  Communicator* communicator = nullptr;  // null: one rank
  const std::atomic<bool>* stop = nullptr;
};

// What the user sees while it runs; called on rank 0 only.
struct TrainRunEvents {
  std::function<void(const std::string&)> note;  // one line of what begins
  std::function<void(const FitProgress&)> progress;
  std::function<void(const EpochRecord&)> epoch_done;
};

struct Contestant {
  std::string name;  // "model", "majority class", "logistic regression"
  std::vector<Metric> metrics;
};

struct TrainRunResult {
  bool stopped = false;  // by a signal, with a checkpoint: --resume goes on
  int64_t best_epoch = 0, epochs = 0;
  bool early = false;
  int64_t test_rows = 0;
  std::vector<Contestant> contestants;  // on the test rows, the model first
  double seconds = 0;
};

// Baselines come first, the test rows are used once, at the end. Throws AlreadyExists if a run is in the folder (without resume),
// NotFound if there is none (with it), InvalidArgument if the run is finished, was made with another configuration of the data,
// model or optimizer, or the config cannot work.
TrainRunResult train_run(const RunConfig& config, const TrainRunOptions& options, const TrainRunEvents& events);

}  // namespace tandem
