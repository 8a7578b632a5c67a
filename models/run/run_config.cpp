#include "models/run/run_config.h"

#include "runtime/io/file.h"

namespace tandem {
namespace {

std::vector<ConfigKey> data_keys(RunConfig& c) {
  return {
      choice_key("data.format", "csv | idx | npz", c.format, {"csv", "idx", "npz"}),
      text_key("data.path", "the table, the IDX images or the .npz archive; .gz and .xz are unpacked", c.path),
      text_key("data.labels", "idx: the file of labels", c.labels),
      text_key("data.test_path", "a test part of its own; empty: the test rows are split off", c.test_path),
      text_key("data.test_labels", "idx: the labels of the test part", c.test_labels),
      list_key("data.columns", "csv: column names, for a file without a header line", c.columns),
      choice_key(
          "data.header",
          "csv: auto | present | absent: whether the first line names the columns; auto: it does unless data.columns is set",
          c.header, {"auto", "present", "absent"}),
      integer_key("data.skip_lines", "csv: lines before the header or the first row", c.skip_lines, 0),
      list_key("data.ignore", "columns or arrays that are not features", c.ignore),
      text_key("data.label", "the column to predict (csv: 'last' for the last one)", c.label),
      choice_key("data.target", "class | value: what the label is", c.target, {"class", "value"}),
      list_key("data.class_names", "labels in the order of their class ids; the last of two is the positive one", c.class_names),
      integers_key("data.image", "channels,height,width of one image; empty: the columns are features by name", c.image, 1),
      text_key("data.input", "name of the graph input that takes the images", c.input),
      float_key("data.scale", "images are multiplied by this", c.scale, 0, 1e6f),
      list_key("data.log1p", "number columns to take log(1 + x) of before scaling", c.log1p),
      choice_key("data.impute", "median | mean: what stands for a missing number", c.impute, {"median", "mean"}),
      integer_key("data.min_count", "categories seen in fewer training rows count as unknown", c.min_count, 1),
      float_key("data.test_share", "share of rows kept for the test", c.test_share, 0, 0.9f),
      float_key("data.validation_share", "share of rows that decides on early stopping and the best checkpoint",
                c.validation_share, 0, 0.9f),
      integer_key("data.split_seed", "which rows go where", c.split_seed, 0),
  };
}

std::vector<ConfigKey> model_keys(RunConfig& c) {
  return {
      choice_key("model.kind", "mlp | cnn | logistic", c.model.kind, {"mlp", "cnn", "logistic"}),
      integers_key("model.hidden", "widths of the fully connected layers", c.model.hidden, 1),
      integers_key("model.channels", "cnn: channels of each 3x3 convolution", c.model.channels, 1),
      integer_key("model.padding", "cnn: padding of each convolution", c.model.padding, 0, 64),
      integer_key("model.pool", "cnn: max-pooling after the last convolution; 1: none", c.model.pool, 1, 64),
      flag_key("model.batch_norm", "cnn: batch normalisation after each convolution", c.model.batch_norm),
      float_key("model.dropout", "share of activations dropped in training, in [0, 1)", c.model.dropout, 0, 0.99f),
  };
}

std::vector<ConfigKey> train_keys(RunConfig& c) {
  return {
      integer_key("train.epochs", "passes over the training rows", c.epochs, 1),
      integer_key("train.batch_size", "rows of one optimizer step, over all ranks and micro-batches", c.batch_size, 1),
      integer_key("train.accumulate", "micro-batches of each rank in one step", c.accumulate, 1, 4096),
      integer_key("train.seed", "of the start values, the order of the rows and dropout", c.seed, 0),
      choice_key("train.optimizer", "sgd | adam | adamw", c.optimizer, {"sgd", "adam", "adamw"}),
      float_key("train.learning_rate", "at its peak", c.learning_rate, 0, 1e3f),
      choice_key("train.schedule", "constant | cosine | step", c.schedule, {"constant", "cosine", "step"}),
      integer_key("train.warmup_steps", "steps in which the learning rate rises to its peak", c.warmup_steps, 0),
      float_key("train.final_fraction", "cosine: last learning rate as a fraction of the peak", c.final_fraction, 0, 1),
      integer_key("train.step_size", "step: optimizer steps between two drops", c.step_size, 1),
      float_key("train.gamma", "step: factor of each drop", c.gamma, 0, 1),
      float_key("train.momentum", "sgd", c.momentum, 0, 1),
      flag_key("train.nesterov", "sgd", c.nesterov),
      float_key("train.beta1", "adam, adamw", c.beta1, 0, 1),
      float_key("train.beta2", "adam, adamw", c.beta2, 0, 1),
      float_key("train.epsilon", "adam, adamw", c.epsilon, 0, 1),
      float_key("train.weight_decay", "of matrices and filters, not of biases", c.weight_decay, 0, 10),
      float_key("train.clip_norm", "largest global gradient norm; 0: no clipping", c.clip_norm, 0, 1e6f),
      choice_key("train.monitor", "loss | accuracy | roc_auc of the validation rows: decides on the best checkpoint", c.monitor,
                 {"loss", "accuracy", "roc_auc"}),
      integer_key("train.patience", "epochs without a better validation result before stopping; 0: never", c.patience, 0),
      integer_key("train.checkpoint_steps", "a checkpoint every so many steps too; 0: at each epoch's end only",
                  c.checkpoint_steps, 0),
      integer_key("train.bucket_kib", "KiB of gradients per all-reduce", c.bucket_kib, 1, 1 << 20),
      flag_key("train.baselines", "train a logistic regression on the same rows first", c.baselines),
      text_key("train.device", "cpu | cuda | cuda:N | auto: where to compute; of several ranks each takes a GPU of its own",
               c.device),
      choice_key("train.math", "strict | fast: whether a GPU may use TF32 for f32 products, and a CPU Winograd's convolutions", c.math, {"strict", "fast"}),
      choice_key("train.precision", "f32 | bf16 | f16 (on a GPU): of matrix products, on a GPU of what follows them too; parameters stay f32",
                 c.precision, {"f32", "bf16", "f16"}),
      flag_key("train.strict_device", "refuse a network of which any op would run on the CPU", c.strict_device),
  };
}

}  // namespace

std::vector<ConfigKey> RunConfig::keys() {
  std::vector<ConfigKey> all;
  for (auto part : {data_keys(*this), model_keys(*this), train_keys(*this)}) all.insert(all.end(), part.begin(), part.end());
  return all;
}

void RunConfig::read_file(const std::filesystem::path& file) {
  read_config(keys(), tandem::read_file(file, Limits{}.config_bytes), file.string());
  resolve_paths(file.parent_path());
}

void RunConfig::resolve_paths(const std::filesystem::path& folder) {
  for (std::string* data_file : {&path, &labels, &test_path, &test_labels})
    if (!data_file->empty() && std::filesystem::path(*data_file).is_relative())
      *data_file = std::filesystem::absolute(folder / *data_file).lexically_normal().string();
}

DataConfig RunConfig::data_config() const {
  DataConfig config;
  config.format = format == "csv" ? DataFormat::kCsv : format == "idx" ? DataFormat::kIdx : DataFormat::kNpz;
  require(!path.empty(), "no data: set data.path in the config file, or --data.path");
  config.path = path;
  config.labels_path = labels;
  config.test_path = test_path;
  config.test_labels_path = test_labels;
  config.csv.names = columns;
  config.csv.skip_lines = skip_lines;
  config.csv.header = header == "auto" ? CsvHeader::kAuto : header == "present" ? CsvHeader::kPresent : CsvHeader::kAbsent;
  config.ignore = ignore;
  config.label = label;
  config.target = target == "class" ? TargetKind::kClass : TargetKind::kValue;
  config.class_names = class_names;
  require(image.empty() || image.size() == 3, "data.image takes channels,height,width");
  config.row_shape = Shape(image);
  config.input_name = input;
  config.scale = static_cast<double>(scale);
  return config;
}

SplitOptions RunConfig::split_options() const {
  return {.test = test_path.empty() ? static_cast<double>(test_share) : 0.0,
          .validation = static_cast<double>(validation_share),
          .seed = static_cast<uint64_t>(split_seed)};
}

FeatureOptions RunConfig::feature_options() const {
  return {.impute = impute == "median" ? Impute::kMedian : Impute::kMean, .log1p = log1p, .min_count = min_count};
}

StepConfig RunConfig::step_config(int world_size, int64_t steps_per_epoch) const {
  StepConfig config;
  config.loss = target == "class" ? LossKind::kCrossEntropy : LossKind::kMeanSquaredError;
  config.optimizer = {.kind = optimizer == "sgd"    ? OptimizerKind::kSgd
                              : optimizer == "adam" ? OptimizerKind::kAdam
                                                    : OptimizerKind::kAdamW,
                      .momentum = momentum,
                      .nesterov = nesterov,
                      .beta1 = beta1,
                      .beta2 = beta2,
                      .epsilon = epsilon,
                      .weight_decay = weight_decay,
                      .clip_norm = clip_norm};
  config.schedule = {.kind = schedule == "constant" ? ScheduleKind::kConstant
                             : schedule == "cosine" ? ScheduleKind::kCosine
                                                    : ScheduleKind::kStep,
                     .learning_rate = learning_rate,
                     .warmup_steps = warmup_steps,
                     .total_steps = epochs * steps_per_epoch,
                     .final_fraction = final_fraction,
                     .step_size = step_size,
                     .gamma = gamma};
  config.world_size = world_size;
  config.accumulate = static_cast<int>(accumulate);
  config.bucket_bytes = bucket_kib << 10;
  config.seed = static_cast<uint64_t>(seed);
  config.precision = precision == "bf16" ? DType::kBF16 : precision == "f16" ? DType::kF16 : DType::kF32;
  return config;
}

}  // namespace tandem
