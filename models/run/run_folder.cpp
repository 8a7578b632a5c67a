#include "models/run/run_folder.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/graph/limits.h"
#include "runtime/io/file.h"

namespace tandem {

void RunFolder::create() const {
  check(!std::filesystem::exists(config()), ErrorCode::kAlreadyExists,
        "a run is in this folder: give another --out, or --resume to go on with it", folder_.string());
  std::error_code error;
  std::filesystem::create_directories(checkpoints(), error);
  check(!error, ErrorCode::kUnavailable, "cannot make the run's folder", checkpoints().string(), error.message());
}

std::vector<EpochRecord> RunFolder::read_epochs(int64_t epoch) const {
  std::vector<EpochRecord> epochs;
  if (!std::filesystem::exists(metrics())) return epochs;
  std::istringstream lines(read_file(metrics(), Limits{}.text_file_bytes));
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    require(json.is_object() && json.contains("epoch"), "a line of this file is damaged", metrics().string(), epochs.size() + 1);
    EpochRecord record;
    record.epoch = json.value("epoch", int64_t{0});
    record.train_loss = json.value("train_loss", 0.0);
    record.learning_rate = json.value("learning_rate", 0.0);
    record.gradient_norm = json.value("gradient_norm", 0.0);
    record.seconds = json.value("seconds", 0.0);
    record.best = json.value("best", false);
    record.validation = json.value("validation", std::map<std::string, double>{});
    if (record.epoch <= epoch) epochs.push_back(std::move(record));
  }
  return epochs;
}

void RunFolder::write_epochs(const std::vector<EpochRecord>& epochs) const {
  std::string text;
  for (const EpochRecord& record : epochs)
    text += nlohmann::json{{"epoch", record.epoch},
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
