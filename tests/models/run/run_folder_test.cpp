#include "models/run/run_folder.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "tests/models/data/message_of.h"
#include "tests/models/data/temporary_folder.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

EpochRecord record(int64_t epoch) {
  EpochRecord record;
  record.epoch = epoch;
  record.train_loss = 1.0 / 3 / static_cast<double>(epoch);
  record.learning_rate = 1e-3;
  record.best = epoch == 2;
  record.validation = {{"loss", 0.1 * static_cast<double>(epoch)}, {"roc_auc", std::nan("")}};
  return record;
}

TEST(RunFolder, EpochsReadBackToTheBitUpToTheOneAskedFor) {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  EXPECT_TRUE(run.read_epochs(9).empty());
  run.write_epochs({record(1), record(2), record(3)});
  const std::vector<EpochRecord> epochs = run.read_epochs(2);
  ASSERT_EQ(epochs.size(), 2u);
  EXPECT_EQ(epochs[1].train_loss, record(2).train_loss);
  EXPECT_TRUE(epochs[1].best && !epochs[0].best);
  EXPECT_EQ(epochs[1].validation.at("loss"), record(2).validation.at("loss"));
  EXPECT_TRUE(std::isnan(epochs[1].validation.at("roc_auc")));  // null in the file
}

TEST(RunFolder, NamesTheDamagedLine) {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  run.write_epochs({record(1), record(2)});
  for (const char* line : {"{\"epoch\": 3", "[]", "{\"epoch\": \"x\"}", "{\"epoch\": 3}"}) {
    run.write_epochs({record(1), record(2)});
    std::ofstream(run.metrics(), std::ios::app) << line << "\n";
    EXPECT_THAT(message_of([&] { run.read_epochs(9); }),
                ::testing::AllOf(HasSubstr("metrics.jsonl"), HasSubstr("damaged"), HasSubstr(", 3")));
  }
}

TEST(RunFolder, IsNotMadeWhereARunIs) {
  const TemporaryFolder folder;
  const RunFolder run(folder.path() / "deep/er");
  run.check_unused();
  run.create();
  EXPECT_TRUE(std::filesystem::is_directory(run.checkpoints()));
  run.check_unused();  // made, but nothing is in it yet
  std::ofstream(run.config()) << "";
  try {
    run.check_unused();
    FAIL() << "a run is there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kAlreadyExists);
    EXPECT_THAT(error.what(), HasSubstr("--resume"));
  }
  EXPECT_FALSE(run.finished());
}

TEST(RunFolder, FactsOfAnUnwrittenRunAreEmptyAndDamagedOnesRefused) {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  EXPECT_TRUE(run.read_facts().empty());
  folder.write("run.json", R"({"seed": "7"})");
  EXPECT_EQ(run.read_facts().at("seed"), "7");
  for (const char* text : {"", "{", "[1]", R"({"seed": 7})"}) {
    folder.write("run.json", text);
    EXPECT_THAT(message_of([&] { run.read_facts(); }), HasSubstr("run.json"));
  }
}

}  // namespace
}  // namespace tandem
