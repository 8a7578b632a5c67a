#include "models/run/fit.h"

#include <gmock/gmock.h>

#include <cmath>

#include "kernels/base/philox.h"
#include "models/data/table_dataset.h"
#include "models/run/build_network.h"
#include "models/run/evaluate.h"
#include "tests/models/data/message_of.h"
#include "tests/models/data/temporary_folder.h"

namespace tandem {
namespace {

constexpr int64_t kRows = 50, kBatch = 8, kSteps = kRows / kBatch;

// Two numbers and the class that their sum gives.
std::unique_ptr<TableDataset> make_rows() {
  Column x{"x"}, y{"y"};
  std::vector<std::string> labels;
  for (uint64_t i = 0; i < kRows; ++i) {
    const auto words = philox(3, i, 0);
    x.numbers.push_back(static_cast<double>(unit_float(words[0])));
    y.numbers.push_back(static_cast<double>(unit_float(words[1])));
    labels.push_back(x.numbers.back() + y.numbers.back() > 1 ? "yes" : "no");
  }
  return std::make_unique<TableDataset>(Table({x, y}), class_target(labels, {}));
}

class Job {
 public:
  explicit Job(const std::filesystem::path& checkpoints) {
    for (int64_t i = 0; i < kRows; ++i) rows_.push_back(i);
    config_.model.hidden = {6};
    config_.model.dropout = 0.1f;
    config_.clip_norm = 1;
    config_.epochs = 3;
    options_ = {.epochs = 3, .batch_size = kBatch, .micro_batch = kBatch, .checkpoints = checkpoints};
  }

  // Each call is a process of its own: nothing but the files goes from one to the next.
  FitResult run() {
    const Network network = build_network(config_, config_.model, *data_, rows_);
    Trainer trainer(network, config_.step_config(1, kSteps), {.micro_batch = kRows});
    FitCallbacks callbacks;
    if (!monitored_.empty())
      callbacks.validate = [&, epoch = size_t{0}]() mutable { return Validation{monitored_.at(epoch++), {}}; };
    callbacks.progress = [&](const FitProgress& progress) {
      stop_ = (progress.epoch - 1) * kSteps + progress.step == stop_after_;
    };
    options_.stop = &stop_;
    const Sampler sampler(rows_, 1);
    const FitResult result = fit(trainer, *data_, sampler, options_, callbacks);
    weights_ = predict(trainer.evaluator(), *data_, rows_, kProbabilities, kRows).values;
    for (const EpochRecord& record : result.epochs) records_.push_back(record);
    return result;
  }

  FitOptions options_;
  RunConfig config_;
  int64_t stop_after_ = 0;         // steps of the whole job
  std::vector<double> monitored_;  // what validation says after each epoch
  std::vector<double> weights_;    // what the weights of the last run answer
  std::vector<EpochRecord> records_;

 private:
  std::unique_ptr<TableDataset> data_ = make_rows();
  std::vector<int64_t> rows_;
  std::atomic<bool> stop_ = false;
};

TEST(Fit, GoesOnAfterAStopAtAnyStepToTheSameBits) {
  const TemporaryFolder whole_folder;
  std::filesystem::create_directory(whole_folder.path() / "c");
  Job whole(whole_folder.path() / "c");
  EXPECT_FALSE(whole.run().stopped);
  ASSERT_EQ(whole.records_.size(), 3u);
  for (int64_t step = 1; step < 3 * kSteps; ++step) {
    const TemporaryFolder folder;
    Job job(folder.path());
    job.stop_after_ = step;
    ASSERT_TRUE(job.run().stopped) << step;
    job.stop_after_ = 0;
    job.options_.resume = true;
    ASSERT_FALSE(job.run().stopped) << step;
    EXPECT_EQ(job.weights_, whole.weights_) << step;
    ASSERT_EQ(job.records_.size(), 3u) << step;
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(job.records_[i].train_loss, whole.records_[i].train_loss) << step;
      EXPECT_EQ(job.records_[i].learning_rate, whole.records_[i].learning_rate) << step;
      EXPECT_EQ(job.records_[i].gradient_norm, whole.records_[i].gradient_norm) << step;
      EXPECT_EQ(job.records_[i].best, whole.records_[i].best) << step;
    }
  }
}

TEST(Fit, KeepsTheBestEpochAndStopsWithoutPatience) {
  const TemporaryFolder folder;
  Job job(folder.path());
  job.options_.epochs = job.config_.epochs = 9;
  job.options_.patience = 2;
  job.monitored_ = {0.5, 0.2, 0.3, 0.2, 0.1, 0, 0, 0, 0};
  const FitResult result = job.run();
  EXPECT_EQ(result.best_epoch, 2);
  EXPECT_EQ(result.epochs.size(), 4u);  // equal is not better
  EXPECT_TRUE(result.early);

  const TemporaryFolder second;
  Job shorter(second.path());
  shorter.options_.epochs = 2;
  shorter.config_.epochs = 9;  // of the schedule
  shorter.monitored_ = {0.5, 0.2};
  shorter.run();
  EXPECT_EQ(job.weights_, shorter.weights_);
}

TEST(Fit, AnUndefinedResultIsWorseThanAnyOther) {
  const TemporaryFolder folder;
  Job job(folder.path());
  job.monitored_ = {std::nan(""), std::nan(""), std::nan("")};
  EXPECT_EQ(job.run().best_epoch, 1);
  job.monitored_ = {std::nan(""), 0.7, std::nan("")};
  EXPECT_EQ(job.run().best_epoch, 2);
}

TEST(Fit, RefusesABatchThatNoEpochFills) {
  const TemporaryFolder folder;
  Job job(folder.path());
  job.options_.batch_size = job.options_.micro_batch = kRows + 1;
  EXPECT_THAT(message_of([&] { job.run(); }), ::testing::HasSubstr("larger than the training part"));
}

TEST(Fit, RefusesACheckpointOfAnotherNetwork) {
  const TemporaryFolder folder;
  Job job(folder.path());
  job.run();
  Job other(folder.path());
  other.config_.model.hidden = {7};
  other.options_.resume = true;
  EXPECT_THAT(message_of([&] { other.run(); }), ::testing::HasSubstr("this checkpoint cannot be used"));
}

}  // namespace
}  // namespace tandem
