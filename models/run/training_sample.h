// One batch to train on again and again: for measuring steps, and for comparing them with another library's.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/run/run_config.h"
#include "runtime/train/imported_network.h"
#include "runtime/train/trainer.h"

namespace tandem {

struct TrainingSample {
  Network network;
  StepConfig step;
  Feed feed;          // the network's inputs and "target"
  int64_t batch = 1;  // rows
};

// The network of a config and the first `batch` of its training rows (0: the config's batch). Throws as `tandem train` does.
TrainingSample sample_of_config(const RunConfig& config, int64_t batch);

struct ModelToTrain {
  std::filesystem::path file;  // ONNX, as exported for training
  ImportedNetwork network;
  StepConfig step;
  std::vector<std::string> inputs;  // as read_inputs takes them, "target" among them; empty: made up
  int64_t batch = 0;                // size of open dimensions; 0: of `inputs`, or 1
};
TrainingSample sample_of_model(const ModelToTrain& model);

}  // namespace tandem
