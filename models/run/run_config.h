// Everything that decides a training run. The same struct fills from a config file, from flags and from a run folder's
// config.ini.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/data/feature_spec.h"
#include "models/data/load.h"
#include "models/data/split.h"
#include "models/run/config_keys.h"
#include "models/zoo/model_config.h"
#include "runtime/train/step_graph.h"

namespace tandem {

struct RunConfig {
  // [data]
  std::string format = "csv", path, labels, test_path, test_labels;
  std::vector<std::string> columns, ignore, class_names, log1p;
  std::vector<int64_t> image;  // channels, height, width: the row's columns or the IDX image as one input
  std::string label = "label", input = "image", target = "class", impute = "median", header = "auto";
  float scale = 1, test_share = 0.2f, validation_share = 0.1f;
  int64_t split_seed = 0, min_count = 1, skip_lines = 0;
  // [model]
  ModelConfig model;
  // [train]
  std::string optimizer = "adam", schedule = "cosine", monitor = "loss";
  int64_t epochs = 10, batch_size = 128, accumulate = 1, patience = 0, warmup_steps = 0, step_size = 1000, seed = 0,
          checkpoint_steps = 0;
  float learning_rate = 1e-3f, final_fraction = 0, gamma = 0.1f, momentum = 0.9f, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f,
        weight_decay = 0, clip_norm = 0;
  bool nesterov = false, baselines = true;
  std::string device = "cpu", math = "strict", precision = "f32";  // where it is computed, and how exactly
  bool strict_device = false;
  int64_t bucket_kib = 1024;

  // The keys bound to this object's members: it must outlive them and stay where it is.
  std::vector<ConfigKey> keys();
  // Reads a config file; its relative data paths are taken from the file's folder.
  void read_file(const std::filesystem::path& path);
  // Makes relative data paths absolute: what is written down must mean the same from anywhere.
  void resolve_paths(const std::filesystem::path& folder);

  DataConfig data_config() const;
  SplitOptions split_options() const;
  FeatureOptions feature_options() const;
  StepConfig step_config(int world_size, int64_t steps_per_epoch) const;
};

}  // namespace tandem
