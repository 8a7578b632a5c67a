#include "models/data/load.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "models/data/decompress.h"
#include "models/data/idx.h"
#include "models/data/npy.h"
#include "models/data/table_dataset.h"
#include "models/data/tensor_dataset.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

using Path = std::filesystem::path;

// One part: where it is, and the hashes of what was read, appended.
struct Part {
  const Path& path;
  const Path& labels_path;
  std::string& hashes;
  const Limits& limits;

  std::string read(const Path& file) const {
    std::string content = read_data_file(file, limits.text_file_bytes);
    hashes += sha256(content);
    return content;
  }
};

bool is_ignored(const DataConfig& config, const std::string& name) {
  return std::find(config.ignore.begin(), config.ignore.end(), name) != config.ignore.end();
}

Target column_target(const DataConfig& config, const Column& column) {
  if (config.target == TargetKind::kClass) return class_target(column.text, config.class_names);
  return value_target(column.numbers);
}

// The label is read as text for classes ("0" and "0.0" are two of them) and as numbers for values. With "last" its name is known
// only when the file was read, so the file is parsed again with that column declared.
Table read_table(const DataConfig& config, std::string_view text, std::string_view source, const Limits& limits,
                 std::string& label) {
  CsvOptions options = config.csv;
  const ColumnKind kind = config.target == TargetKind::kValue ? ColumnKind::kNumeric : ColumnKind::kText;
  Table table = parse_csv(text, source, options, limits);
  label = config.label;
  if (label.empty() || config.target == TargetKind::kNone) return table;
  if (label == "last" && table.find(label) == nullptr) label = table.columns().back().name;
  if (table.column(label).kind == kind) return table;
  options.kinds[label] = kind;
  return parse_csv(text, source, options, limits);
}

std::unique_ptr<Dataset> load_csv(const DataConfig& config, const Part& part) {
  std::string label;
  Table table = read_table(config, part.read(part.path), part.path.string(), part.limits, label);
  for (const std::string& name : config.ignore) table.column(name);  // a name that is not there is a slip
  Target target;
  if (config.target != TargetKind::kNone) target = column_target(config, table.column(label));
  std::vector<Column> features;
  for (const Column& column : table.columns())
    if (column.name != label && !is_ignored(config, column.name)) features.push_back(column);
  Table feature_table(std::move(features));
  if (config.row_shape.rank() == 0) return std::make_unique<TableDataset>(std::move(feature_table), std::move(target));
  DataArray packed{config.input_name, pack_columns(feature_table, config.row_shape), static_cast<float>(config.scale)};
  return std::make_unique<TensorDataset>(std::vector<DataArray>{std::move(packed)}, std::move(target));
}

std::vector<int64_t> integers(const Tensor& tensor, std::string_view source) {
  require(tensor.shape().rank() == 1, "labels must be one-dimensional", source, to_string(tensor.shape()));
  require(is_integer(tensor.dtype()) || tensor.dtype() == DType::kBool, "class labels must be integers", source,
          name(tensor.dtype()));
  return visit_number_or_bool(tensor.dtype(), [&]<class T>() {
    const std::span<const T> values = tensor.as<T>();
    std::vector<int64_t> out;
    for (T value : values) out.push_back(static_cast<int64_t>(value));
    return out;
  });
}

Target tensor_target(const DataConfig& config, const Tensor& labels, std::string_view source) {
  if (config.target == TargetKind::kClass && labels.dtype() == DType::kString) {
    const std::span<const std::string_view> texts = labels.as<std::string_view>();
    return class_target(std::vector<std::string>(texts.begin(), texts.end()), config.class_names);
  }
  if (config.target == TargetKind::kClass) return class_target(integers(labels, source), config.class_names);
  require(labels.dtype() == DType::kF32 || labels.dtype() == DType::kF64, "target values must be f32 or f64", source,
          name(labels.dtype()));
  return visit_float(labels.dtype(), [&]<class T>() {
    const std::span<const T> values = labels.as<T>();
    return value_target(std::vector<double>(values.begin(), values.end()));
  });
}

std::unique_ptr<Dataset> load_idx(const DataConfig& config, const Part& part) {
  Tensor images = parse_idx(part.read(part.path), part.path.string(), part.limits);
  require(images.shape().rank() >= 2, "IDX images need at least two dimensions", part.path.string(), to_string(images.shape()));
  if (config.row_shape.rank() > 0) {
    Shape shape{images.shape()[0]};
    for (int64_t dim : config.row_shape.dims()) shape.push_back(dim);
    require(shape.elements() == images.elements(), "IDX images do not have the row shape", part.path.string(),
            to_string(images.shape()), to_string(config.row_shape));
    images = images.reshaped(shape);
  }
  Target target;
  if (config.target != TargetKind::kNone) {
    const std::string source = part.labels_path.string();
    target = tensor_target(config, parse_idx(part.read(part.labels_path), source, part.limits), source);
  }
  DataArray array{config.input_name, std::move(images), static_cast<float>(config.scale)};
  return std::make_unique<TensorDataset>(std::vector<DataArray>{std::move(array)}, std::move(target));
}

std::unique_ptr<Dataset> load_npz(const DataConfig& config, const Part& part) {
  Target target;
  std::vector<DataArray> arrays;
  bool labelled = false;
  const std::string source = part.path.string();
  for (auto& [name, tensor] : parse_npz(part.read(part.path), source, part.limits)) {
    if (name == config.label) {
      if (config.target != TargetKind::kNone) target = tensor_target(config, tensor, source + ":" + name);
      labelled = true;
    } else if (!is_ignored(config, name)) {
      arrays.push_back({name, std::move(tensor)});
    }
  }
  require(labelled || config.target == TargetKind::kNone, "archive has no array of the label's name", source, config.label);
  return std::make_unique<TensorDataset>(std::move(arrays), std::move(target));
}

std::unique_ptr<Dataset> load_part(const DataConfig& config, const Part& part) {
  switch (config.format) {
    case DataFormat::kCsv: return load_csv(config, part);
    case DataFormat::kIdx: return load_idx(config, part);
    case DataFormat::kNpz: return load_npz(config, part);
  }
  fail(ErrorCode::kInternal, "unknown data format");
}

void check_alike(const Dataset& train, const Dataset& test) {
  const auto same = [](const DataInput& a, const DataInput& b) {
    return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape;
  };
  const bool inputs_alike =
      std::equal(train.inputs().begin(), train.inputs().end(), test.inputs().begin(), test.inputs().end(), same);
  require(inputs_alike, "test data has other inputs than the training data");
  require(train.target().class_names == test.target().class_names, "test data has other classes than the training data");
}

}  // namespace

LoadedData load_dataset(const DataConfig& config, const Limits& limits) {
  LoadedData data;
  std::string hashes;
  data.train = load_part(config, {config.path, config.labels_path, hashes, limits});
  if (!config.test_path.empty()) {
    // The test part must mean the same classes, also if it lacks some.
    DataConfig test = config;
    test.class_names = data.train->target().class_names;
    data.test = load_part(test, {config.test_path, config.test_labels_path, hashes, limits});
    check_alike(*data.train, *data.test);
  }
  data.hash = hashes.size() == 64 ? hashes : sha256(hashes);
  return data;
}

}  // namespace tandem
