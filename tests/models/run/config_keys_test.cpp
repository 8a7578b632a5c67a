#include "models/run/config_keys.h"

#include <gmock/gmock.h>

#include "models/run/run_config.h"
#include "tests/models/data/message_of.h"
#include "tests/models/data/temporary_folder.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ConfigKeys, ReadsSectionsCommentsAndBlanks) {
  RunConfig config;
  read_config(
      config.keys(),
      "# a note\r\n[model]\n  hidden =  8 , 4 \n; another\n\n[train]\nlearning_rate=1e-2\nnesterov = true\noptimizer = sgd\n",
      "a.ini");
  EXPECT_THAT(config.model.hidden, ElementsAre(8, 4));
  EXPECT_FLOAT_EQ(config.learning_rate, 0.01f);
  EXPECT_TRUE(config.nesterov);
  EXPECT_EQ(config.optimizer, "sgd");
}

TEST(ConfigKeys, WhatIsWrittenReadsBackTheSame) {
  RunConfig config;
  set_key(config.keys(), "data.path", "/data/with = sign # and hash.csv");
  set_key(config.keys(), "data.columns", "a,b c,d");
  set_key(config.keys(), "train.learning_rate", "0.1");
  set_key(config.keys(), "train.weight_decay", "1.1754944e-38");
  set_key(config.keys(), "train.seed", "9223372036854775807");
  set_key(config.keys(), "model.hidden", "");
  const std::string text = write_config(config.keys());
  RunConfig again;
  read_config(again.keys(), text, "again.ini");
  EXPECT_EQ(write_config(again.keys()), text);
  EXPECT_EQ(again.path, "/data/with = sign # and hash.csv");
  EXPECT_THAT(again.columns, ElementsAre("a", "b c", "d"));
  EXPECT_EQ(again.learning_rate, 0.1f);  // to the bit: a resumed run must not learn at another rate
  EXPECT_EQ(again.weight_decay, config.weight_decay);
  EXPECT_EQ(again.seed, INT64_MAX);
  EXPECT_TRUE(again.model.hidden.empty());
}

TEST(ConfigKeys, EachKeyIsThereOnceWithAWordOfHelp) {
  RunConfig config;
  std::set<std::string> names;
  for (const ConfigKey& key : config.keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_GT(key.help.size(), 2u) << key.name;
    EXPECT_EQ(std::count(key.name.begin(), key.name.end(), '.'), 1) << key.name;
    EXPECT_NO_THROW(key.set(key.get())) << key.name;
  }
}

TEST(ConfigKeys, SuggestsTheNearestKey) {
  RunConfig config;
  const auto message = [&](const char* key) { return message_of([&] { set_key(config.keys(), key, "1"); }); };
  EXPECT_THAT(message("train.epocs"), AllOf(HasSubstr("'train.epocs'"), HasSubstr("did you mean 'train.epochs'")));
  EXPECT_THAT(message("train.bacth_size"), HasSubstr("did you mean 'train.batch_size'"));
  EXPECT_THAT(message("xyz"), ::testing::Not(HasSubstr("did you mean")));
}

TEST(ConfigKeys, NamesLineKeyValueAndWhatWouldBeRight) {
  RunConfig config;
  const auto message = [&](const char* text) { return message_of([&] { read_config(config.keys(), text, "my.ini"); }); };
  EXPECT_THAT(message("[train]\nepochs = 0\n"),
              AllOf(HasSubstr("my.ini:2"), HasSubstr("train.epochs"), HasSubstr("[1, "), HasSubstr("not 0")));
  EXPECT_THAT(message("[train]\n\nepochs = 3x\n"), AllOf(HasSubstr("my.ini:3"), HasSubstr("a whole number"), HasSubstr("'3x'")));
  EXPECT_THAT(message("[train]\nepochs =\n"), HasSubstr("a whole number"));
  EXPECT_THAT(message("[train]\nlearning_rate = nan\n"), AllOf(HasSubstr("train.learning_rate"), HasSubstr("must lie in")));
  EXPECT_THAT(message("[train]\nlearning_rate = 1e99\n"), HasSubstr("train.learning_rate"));
  EXPECT_THAT(message("[train]\nnesterov = yes\n"), AllOf(HasSubstr("true or false"), HasSubstr("'yes'")));
  EXPECT_THAT(message("[model]\nhidden = 8,,4\n"), HasSubstr("model.hidden"));
  EXPECT_THAT(message("[model]\nkind = tree\n"), AllOf(HasSubstr("mlp, cnn, logistic"), HasSubstr("'tree'")));
  EXPECT_THAT(message("[]\n"), HasSubstr("my.ini:1"));
  EXPECT_THAT(message("nothing\n"), HasSubstr("key = value"));
}

TEST(RunConfig, RelativeDataPathsStandBesideTheFile) {
  const TemporaryFolder folder;
  RunConfig config;
  config.read_file(folder.write("a.ini", "[data]\npath = ../x/rows.csv\ntest_path = /abs/rows.csv\n"));
  EXPECT_EQ(config.path, (folder.path().parent_path() / "x/rows.csv").string());
  EXPECT_EQ(config.test_path, "/abs/rows.csv");
  EXPECT_EQ(config.labels, "");
}

}  // namespace
}  // namespace tandem
