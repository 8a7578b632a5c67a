// `tandem eval`: a trained model measured on data.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/metrics_table.h"
#include "cli/options.h"
#include "models/run/evaluate.h"
#include "models/run/manifest.h"
#include "models/run/run_config.h"
#include "models/run/run_folder.h"
#include "runtime/device/topology.h"
#include "runtime/model/open_model.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem eval RUN|FILE.onnx [--data FILE] [--config FILE]",
    "Measures a model on rows of data: accuracy, F1, ROC AUC, log loss and the rest, each with its 95% interval. A run folder "
    "brings its own\n"
    "configuration, data and split; --data measures on all rows of another file of the same layout.",
    "  tandem eval runs/adult                                  the test rows of the run\n"
    "  tandem eval runs/adult --split validation\n"
    "  tandem eval runs/adult --data new_people.csv            all rows of another file\n"
    "  tandem eval model.onnx --config models/configs/adult.ini\n"
    "  tandem eval runs/adult --device auto                    on a GPU if there is one\n",
};
constexpr int64_t kBatch = 256;

struct Rows {
  const Dataset* data;
  std::vector<int64_t> rows;
};

std::vector<int64_t> all_rows(const Dataset& data) {
  std::vector<int64_t> rows(static_cast<size_t>(data.rows()));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  return rows;
}

Rows choose_rows(const LoadedData& data, const RunConfig& config, const std::string& split) {
  if (split == "all") return {data.train.get(), all_rows(*data.train)};
  if (split == "test" && data.test) return {data.test.get(), all_rows(*data.test)};
  const Split parts = split_rows(*data.train, config.split_options());
  if (split == "test") return {data.train.get(), parts.test};
  if (split == "validation") return {data.train.get(), parts.validation};
  require(split == "train", "--split takes test, validation, train or all", split);
  return {data.train.get(), parts.train};
}

}  // namespace

int eval_command(int argc, char** argv) {
  po::options_description options("options");
  std::string what, data_path, config_path, split;
  int64_t resamples = 0, threads = 0;
  DeviceFlags flags;
  options.add_options()("model", po::value(&what), "a run folder or a model (also as a plain word)")(
      "data", po::value(&data_path), "another data file; all its rows count")(
      "config", po::value(&config_path), "the config that describes the data, for a model outside a run folder")(
      "split", po::value(&split), "test (default), validation, train or all")(
      "resamples", po::value(&resamples)->default_value(1000), "of the bootstrap")(
      "threads", po::value(&threads)->default_value(0), "0: the allowed processors");
  add_device_flags(options, flags);
  add_tune_flag(options, flags.tune);
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "model", values)) return kOk;
  require(!what.empty(), "no run folder or model given; usage: " + kUsageText.line);
  require(resamples >= 1 && resamples <= 1'000'000, "--resamples must lie in [1, 1000000]", resamples);
  require(threads >= 0 && threads <= kMostThreads, fmt::format("--threads must lie in [0, {}]", kMostThreads), threads);
  const ChosenDevice device(flags);
  const bool is_run = std::filesystem::is_directory(what);
  const RunFolder folder(is_run ? std::filesystem::path(what) : std::filesystem::path(what).parent_path());
  if (config_path.empty()) config_path = folder.config().string();
  check(std::filesystem::exists(config_path), ErrorCode::kNotFound, "no config describes the data: give --config", config_path);
  RunConfig config;
  config.read_file(config_path);
  if (!data_path.empty()) {
    config.path = data_path;
    config.test_path.clear();
    config.test_labels.clear();
    if (split.empty()) split = "all";
  }
  const int used = threads > 0 ? static_cast<int>(threads) : allowed_cpus().threads;
  OpenedModel model = open_model(is_run ? folder.model() : std::filesystem::path(what));
  const PlanOptions planned = device.plan({.threads = used, .bounds = {}, .default_bound = kBatch, .packs = model.packs});
  Executor executor(make_plan(std::move(model.graph), planned), device.executor());
  // The model's own classes: these rows may lack some.
  const std::vector<std::string> class_names = read_class_names(folder.manifest());
  if (!class_names.empty()) config.class_names = class_names;
  const LoadedData data = load_dataset(config.data_config());
  const Rows chosen = choose_rows(data, config, split.empty() ? "test" : split);
  const Evaluation evaluation =
      evaluate_model(executor, *chosen.data, chosen.rows, kBatch,
                     {.resamples = static_cast<int>(resamples), .seed = static_cast<uint64_t>(config.seed), .threads = used});
  if (values.contains("json"))
    std::cout << json_line(nlohmann::json{
                     {"rows", evaluation.rows}, {"device", device.text()}, {"metrics", metrics_json(evaluation.metrics)}})
              << "\n";
  else
    fmt::print("{} rows, 95% intervals\n{}", evaluation.rows, metrics_table({{what, evaluation.metrics}}));
  return kOk;
}

}  // namespace tandem::cli
