// report.html of a run.
#pragma once

#include "models/run/run_folder.h"
#include "models/run/train_run.h"

namespace tandem {

struct RunPage {
  const RunConfig& config;
  const RunFolder& folder;
  const std::map<std::string, std::string>& facts;
  const std::vector<EpochRecord>& epochs;
  const TrainRunResult& result;
  const Evaluation& model;
  const std::vector<std::string>& class_names;
};

void write_run_page(const RunPage& page);

}  // namespace tandem
