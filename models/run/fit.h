// The loop of a training job: epochs over a sampler, validation, early stopping, checkpoints, Ctrl-C.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "models/data/sampler.h"
#include "models/run/batches.h"
#include "runtime/train/checkpoint.h"

namespace tandem {

// The validation result after an epoch; lower `monitored` is better.
struct Validation {
  double monitored = 0;
  std::map<std::string, double> metrics;  // by name, for the log
};

struct EpochRecord {
  int64_t epoch = 0;  // from 1
  double train_loss = 0;
  double learning_rate = 0;  // of its last step
  double gradient_norm = 0;  // mean over its steps; 0 without clipping
  double seconds = 0;
  bool best = false;
  std::map<std::string, double> validation;
};

struct FitProgress {
  int64_t epoch = 0, epochs = 0;  // from 1
  int64_t step = 0, steps = 0;    // of this epoch
  double loss = 0;                // mean of this epoch so far
  int64_t rows = 0;               // of one step
};

struct FitOptions {
  int64_t epochs = 1;
  int64_t batch_size =
      1;  // of a whole step; a last part of an epoch that does not fill one is left out (the next epoch has another order)
  int64_t micro_batch = 1;
  int64_t patience = 0;  // epochs without improvement; 0: never stop early
  int64_t checkpoint_steps = 0;
  std::filesystem::path checkpoints;  // folder for last.ckpt and best.ckpt; empty: keep none, the last epoch counts
  bool resume = false;
  bool writes = true;  // this rank writes the files (rank 0)
  Communicator* communicator = nullptr;
  const std::atomic<bool>* stop = nullptr;  // set by a signal: checkpoint and return
};

struct FitCallbacks {
  std::function<Validation()> validate;  // called on the writing rank only; the others take its result
  std::function<void(const EpochRecord&)>
      epoch_done;  // before the epoch's checkpoint: what it writes may be of an epoch that is done again
  std::function<void(const FitProgress&)> progress;
};

struct FitResult {
  std::vector<EpochRecord> epochs;  // of this call
  int64_t best_epoch = 0;
  bool stopped = false;       // by `stop`: the job can be resumed
  bool early = false;         // by patience
  int64_t resumed_epoch = 0;  // epochs done before this call
};

// Trains until the epochs are done, patience is out or `stop` is set; then the states are those of the best epoch (unless
// stopped). With `resume` the job goes on from last.ckpt, to the bit as if it had never been interrupted.
FitResult fit(Trainer& trainer, const Dataset& data, const Sampler& sampler, const FitOptions& options,
              const FitCallbacks& callbacks);

}  // namespace tandem
