// manifest.json: what a model package says of itself, so that a server or a colleague needs to ask nobody.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/run/evaluate.h"

namespace tandem {

struct ManifestFacts {
  std::map<std::string, std::string> lineage;  // config hash, data hash, split id, seed, source version, world size, ...
  std::vector<std::string> class_names;
  std::map<std::string, std::vector<Metric>> metrics;  // by contestant: "model", "majority", "logistic"
  int64_t test_rows = 0;
  Feed golden_inputs;  // a few rows of the test split
};

// The classes of the model that this manifest stands beside, by id. Empty if there is no such file. Throws InvalidArgument if it
// is damaged.
std::vector<std::string> read_class_names(const std::filesystem::path& path);

// Reads the model back, runs the golden rows through it and writes manifest.json beside it: format, file with its SHA-256,
// signature, metrics with intervals, lineage, golden samples. JSON has no NaN: an undefined metric is null.
void write_manifest(const std::filesystem::path& path, const std::filesystem::path& model, const ManifestFacts& facts);

}  // namespace tandem
