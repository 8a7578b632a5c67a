// From a description of files to data sets: the one door through which `tandem train` and `tandem eval` read data.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/data/csv.h"
#include "models/data/dataset.h"
#include "runtime/graph/limits.h"

namespace tandem {

enum class DataFormat { kCsv, kIdx, kNpz };

struct DataConfig {
  DataFormat format = DataFormat::kCsv;
  std::filesystem::path path;         // the table, the IDX images, or the .npz archive
  std::filesystem::path labels_path;  // IDX: the labels
  std::filesystem::path test_path;    // the data's own test part, of the same format; empty if it has none
  std::filesystem::path test_labels_path;

  CsvOptions csv = {};
  std::vector<std::string> ignore = {};  // columns or arrays that are not features
  std::string label = "label";  // the target's column (CSV; "last" if no column is called so) or array (npz); "" for none
  TargetKind target = TargetKind::kClass;     // kNone: the target's column is dropped, if it is there
  std::vector<std::string> class_names = {};  // see class_target

  // Set: the CSV's columns are packed into one input of this shape a row; an IDX image, [rows, h, w] in the file, takes it.
  Shape row_shape = {};
  std::string input_name = "image";  // of the packed or IDX input
  double scale = 1;                  // packed and IDX inputs are multiplied by this
};

struct LoadedData {
  std::unique_ptr<Dataset> train;  // all rows of `path`
  std::unique_ptr<Dataset> test;   // null without a test part of its own: split `train`
  std::string hash;                // SHA-256 of the files' unpacked contents: the same for data.csv and data.csv.xz
};

// Throws as the readers do, and InvalidArgument if the test part's inputs or classes differ from the training part's.
LoadedData load_dataset(const DataConfig& config, const Limits& limits = {});

}  // namespace tandem
