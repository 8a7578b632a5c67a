#include "models/run/run_folder.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/graph/limits.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

using nlohmann::json;

// JSON has no NaN: an undefined metric is written as null.
double number_or_nan(const json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

EpochRecord to_record(const json& line) {
  EpochRecord record;
  record.epoch = line.at("epoch").get<int64_t>();
  record.train_loss = number_or_nan(line.at("train_loss"));
  record.learning_rate = number_or_nan(line.at("learning_rate"));
  record.gradient_norm = number_or_nan(line.at("gradient_norm"));
  record.seconds = number_or_nan(line.at("seconds"));
  record.best = line.at("best").get<bool>();
  for (const auto& [name, value] : line.at("validation").items()) record.validation[name] = number_or_nan(value);
  return record;
}

}  // namespace

void RunFolder::check_unused() const {
  check(!std::filesystem::exists(config()), ErrorCode::kAlreadyExists,
        "a run is in this folder: give another --out, or --resume to go on with it", folder_.string());
}

void RunFolder::create() const {
  std::error_code error;
  std::filesystem::create_directories(checkpoints(), error);
  check(!error, ErrorCode::kUnavailable, "cannot make the run's folder", checkpoints().string(), error.message());
}

std::vector<EpochRecord> RunFolder::read_epochs(int64_t epoch) const {
  std::vector<EpochRecord> epochs;
  if (!std::filesystem::exists(metrics())) return epochs;
  std::istringstream lines(read_file(metrics(), Limits{}.text_file_bytes));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    try {
      EpochRecord record = to_record(json::parse(line));
      if (record.epoch <= epoch) epochs.push_back(std::move(record));
    } catch (const json::exception&) {
      fail(ErrorCode::kInvalidArgument, "a line of this file is damaged (file, line)", {metrics().string(), number});
    }
  }
  return epochs;
}

std::map<std::string, std::string> RunFolder::read_facts() const {
  if (!std::filesystem::exists(facts())) return {};
  try {
    return json::parse(read_file(facts(), Limits{}.config_bytes)).get<std::map<std::string, std::string>>();
  } catch (const json::exception&) {
    fail(ErrorCode::kInvalidArgument, "this file is damaged; without it the run goes on, unchecked", {facts().string()});
  }
}

void RunFolder::write_epochs(const std::vector<EpochRecord>& epochs) const {
  std::string text;
  for (const EpochRecord& record : epochs)
    text += json{{"epoch", record.epoch},
                 {"train_loss", record.train_loss},
                 {"learning_rate", record.learning_rate},
                 {"gradient_norm", record.gradient_norm},
                 {"seconds", record.seconds},
                 {"best", record.best},
                 {"validation", record.validation}}
                .dump() +
            "\n";
  write_file(metrics(), text);
}

}  // namespace tandem
