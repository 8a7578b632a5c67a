#include "models/run/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "runtime/comm/communicator.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

// The counters of a job: what a checkpoint keeps beside the states.
struct Counters {
  int64_t epoch = 0;          // finished epochs
  int64_t step_in_epoch = 0;  // finished steps of the one under way
  int64_t best_epoch = 0;
  double best = std::numeric_limits<double>::infinity();
  double loss_sum = 0, norm_sum = 0;  // of the epoch under way, over all ranks: equal on each
  double learning_rate = 0;           // of the last step

  JobPosition to_position() const {
    const auto exact = [](double v) { return fmt::format("{:a}", v); };
    return {{"epoch", std::to_string(epoch)},
            {"step_in_epoch", std::to_string(step_in_epoch)},
            {"best_epoch", std::to_string(best_epoch)},
            {"best", exact(best)},
            {"loss_sum", exact(loss_sum)},
            {"norm_sum", exact(norm_sum)},
            {"learning_rate", exact(learning_rate)}};
  }
  static Counters from_position(const JobPosition& position) {
    const auto text = [&](const char* name) -> const std::string& {
      const auto found = position.find(name);
      require(found != position.end(), "this checkpoint cannot be used: it does not say where the job was", name);
      return found->second;
    };
    const auto count = [&](const char* name) -> int64_t { return std::strtoll(text(name).c_str(), nullptr, 10); };
    const auto real = [&](const char* name) { return std::strtod(text(name).c_str(), nullptr); };
    return {count("epoch"),   count("step_in_epoch"), count("best_epoch"),  real("best"),
            real("loss_sum"), real("norm_sum"),       real("learning_rate")};
  }
};

class Fit {
 public:
  Fit(Trainer& trainer, const Dataset& data, const Sampler& sampler, const FitOptions& options, const FitCallbacks& callbacks)
      : trainer_(trainer),
        sampler_(sampler),
        options_(options),
        callbacks_(callbacks),
        feed_(data, true),
        rows_(static_cast<size_t>(options.micro_batch)),
        steps_(sampler.size() / options.batch_size) {
    require(steps_ > 0, "a batch is larger than the training part (batch size, training rows)", options.batch_size,
            sampler.size());
  }

  FitResult run() {
    if (options_.resume) {
      counters_ = Counters::from_position(load_checkpoint(last(), trainer_.states()));
      result_.resumed_epoch = counters_.epoch;
    }
    while (counters_.epoch < options_.epochs && !out_of_patience()) {
      if (!run_epoch()) {
        checkpoint();
        result_.stopped = true;
        return result_;
      }
    }
    result_.early = counters_.epoch < options_.epochs;
    result_.best_epoch = counters_.best_epoch;
    if (keeps_checkpoints()) load_checkpoint(best(), trainer_.states());
    return result_;
  }

 private:
  std::filesystem::path last() const { return options_.checkpoints / "last.ckpt"; }
  std::filesystem::path best() const { return options_.checkpoints / "best.ckpt"; }
  bool keeps_checkpoints() const { return !options_.checkpoints.empty(); }
  bool out_of_patience() const { return options_.patience > 0 && counters_.epoch - counters_.best_epoch >= options_.patience; }

  void checkpoint() {
    if (keeps_checkpoints() && options_.writes) save_checkpoint(last(), trainer_.states(), counters_.to_position());
    if (options_.communicator) options_.communicator->barrier();
  }

  // Micro-batch m of the whole run is a range of positions of one epoch's order.
  const Feed& micro_batch(int64_t m) {
    const int64_t per_epoch = steps_ * (options_.batch_size / options_.micro_batch);
    sampler_.read(static_cast<uint64_t>(m / per_epoch), m % per_epoch * options_.micro_batch, rows_);
    return feed_.fill(rows_);
  }

  // After a step all ranks go on with the same mean loss, and stop at the same step if one of them was asked to. Returns whether
  // to stop.
  bool agree_on_step(double& loss) {
    float shared[] = {options_.stop && options_.stop->load(std::memory_order_relaxed) ? 1.0f : 0.0f, static_cast<float>(loss)};
    if (options_.communicator) {
      options_.communicator->all_reduce_sum(shared, "loss");
      loss = static_cast<double>(shared[1]) / options_.communicator->size();
    }
    return shared[0] > 0;
  }

  bool run_epoch() {
    const auto start = Clock::now();
    while (counters_.step_in_epoch < steps_) {
      if (options_.communicator) options_.communicator->set_step(trainer_.steps_done());
      Trainer::Step step = trainer_.step([&](int64_t m) -> const Feed& { return micro_batch(m); });
      const bool stop = agree_on_step(step.loss);
      if (!std::isfinite(step.loss))
        fail(ErrorCode::kInvalidArgument,
             "the loss is not finite: lower train.learning_rate, set train.clip_norm, or look for infinite values in the data "
             "(epoch, step, loss)",
             {counters_.epoch + 1, counters_.step_in_epoch + 1, step.loss});
      counters_.loss_sum += step.loss;
      counters_.norm_sum += step.gradient_norm;
      counters_.learning_rate = step.learning_rate;
      ++counters_.step_in_epoch;
      report_progress();
      if (stop) return false;
      if (options_.checkpoint_steps > 0 && counters_.step_in_epoch % options_.checkpoint_steps == 0) checkpoint();
    }
    finish_epoch(std::chrono::duration<double>(Clock::now() - start).count());
    return true;
  }

  void report_progress() const {
    if (!callbacks_.progress) return;
    callbacks_.progress({counters_.epoch + 1, options_.epochs, counters_.step_in_epoch, steps_,
                         counters_.loss_sum / static_cast<double>(counters_.step_in_epoch), options_.batch_size});
  }

  // The writing rank validates; what it found decides on every rank.
  double validate(EpochRecord& record) {
    double monitored = record.train_loss;
    if (options_.writes && callbacks_.validate) {
      const Validation validation = callbacks_.validate();
      monitored = validation.monitored;
      record.validation = validation.metrics;
    }
    if (options_.communicator) options_.communicator->broadcast(std::as_writable_bytes(std::span(&monitored, 1)), 0);
    return monitored;
  }

  // The first epoch is the best so far whatever its result: a metric may be undefined (NaN) on these validation rows.
  bool is_best(double monitored) const {
    return counters_.best_epoch == 0 || monitored < counters_.best || (std::isnan(counters_.best) && !std::isnan(monitored));
  }

  // The order of the writes matters: a death between two of them leaves last.ckpt at the epoch before, which is then done again
  // to the same bits.
  void finish_epoch(double seconds) {
    EpochRecord record;
    record.epoch = counters_.epoch + 1;
    record.learning_rate = counters_.learning_rate;
    record.seconds = seconds;
    record.train_loss = counters_.loss_sum / static_cast<double>(steps_);
    record.gradient_norm = counters_.norm_sum / static_cast<double>(steps_);
    const double monitored = validate(record);
    ++counters_.epoch;
    counters_.step_in_epoch = 0;
    counters_.loss_sum = counters_.norm_sum = 0;
    record.best = is_best(monitored);
    if (record.best) {
      counters_.best = monitored;
      counters_.best_epoch = counters_.epoch;
      if (keeps_checkpoints() && options_.writes) save_checkpoint(best(), trainer_.states(), counters_.to_position());
    }
    result_.epochs.push_back(record);
    if (callbacks_.epoch_done) callbacks_.epoch_done(record);
    checkpoint();
  }

  Trainer& trainer_;
  const Sampler& sampler_;
  const FitOptions& options_;
  const FitCallbacks& callbacks_;
  BatchFeed feed_;
  std::vector<int64_t> rows_;
  int64_t steps_;  // in an epoch
  Counters counters_;
  FitResult result_;
};

}  // namespace

FitResult fit(Trainer& trainer, const Dataset& data, const Sampler& sampler, const FitOptions& options,
              const FitCallbacks& callbacks) {
  return Fit(trainer, data, sampler, options, callbacks).run();
}

}  // namespace tandem
