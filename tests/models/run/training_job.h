// A shipped configuration as a job of a few steps: its data, and trainers for it.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "models/run/batches.h"
#include "models/run/build_network.h"
#include "runtime/train/trainer.h"
#include "tests/support/source_dir.h"

namespace tandem {

struct Job {
  RunConfig config;
  LoadedData data;
  std::vector<int64_t> rows;  // to train on
};

inline Job load(const std::string& name, int64_t rows) {
  Job job;
  job.config.read_file(source_dir() / "models" / "configs" / (name + ".ini"));
  job.config.warmup_steps = std::min<int64_t>(job.config.warmup_steps, 2);  // the tests are shorter than a warm-up
  job.data = load_dataset(job.config.data_config());
  job.rows.resize(static_cast<size_t>(std::min(rows, job.data.train->rows())));
  std::iota(job.rows.begin(), job.rows.end(), 0);
  return job;
}

// What the steps differ in from those of the configuration.
struct StepChanges {
  DType precision = DType::kF32;
  int world_size = 1;
  bool reduces_alone = false;
};

// `batch`: of one rank.
inline std::unique_ptr<Trainer> trainer_of(const Job& job, int64_t batch, Trainer::Options options = {},
                                           const StepChanges& changes = {}) {
  const Network network = build_network(job.config, job.config.model, *job.data.train, job.rows);
  StepConfig step = job.config.step_config(changes.world_size, static_cast<int64_t>(job.rows.size()) / batch);
  step.precision = changes.precision;
  step.reduces_alone = changes.reduces_alone;
  options.micro_batch = batch;
  return std::make_unique<Trainer>(network, step, options);
}

inline std::vector<double> losses(Trainer& trainer, const Job& job, int64_t batch, int64_t steps) {
  BatchFeed feed(*job.data.train, true);
  const auto batches = static_cast<int64_t>(job.rows.size()) / batch;
  const std::function<const Feed&(int64_t)> micro_batch = [&](int64_t m) -> const Feed& {
    return feed.fill(std::span(job.rows).subspan(static_cast<size_t>(m % batches * batch), static_cast<size_t>(batch)));
  };
  std::vector<double> found;
  for (int64_t s = 0; s < steps; ++s) found.push_back(trainer.step(micro_batch).loss);
  return found;
}

}  // namespace tandem
