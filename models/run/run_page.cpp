#include "models/run/run_page.h"

#include <fmt/format.h>

#include "models/report/report.h"

namespace tandem {
namespace {

constexpr size_t kCurvePoints = 400;
constexpr int64_t kMostClassCurves = 10;

std::string fact(const RunPage& page, const std::string& key) {
  const auto found = page.facts.find(key);
  return found == page.facts.end() ? "" : found->second;
}

RunReport::Group group(const RunPage& page, std::string title, const std::vector<std::pair<std::string, std::string>>& keys) {
  RunReport::Group made{std::move(title), {}};
  for (const auto& [key, label] : keys)
    if (const std::string value = fact(page, key); !value.empty()) made.facts.push_back({label, value});
  return made;
}

std::string summary(const RunPage& page) {
  return fmt::format(
      "{} trained on {} rows with {} rows held out for validation; measured once on {} test rows that took no part in training. "
      "{} of {} "
      "epochs{}, the weights of epoch {} were kept.",
      page.config.model.kind, fact(page, "train_rows"), fact(page, "validation_rows"), page.result.test_rows, page.result.epochs,
      page.config.epochs, page.result.early ? " (stopped early)" : "", page.result.best_epoch);
}

double value_or_none(const std::map<std::string, double>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? RunReport::kNone : found->second;
}

void add_epochs(RunReport& report, const RunPage& page) {
  report.metric_name = page.config.monitor == "roc_auc" || page.class_names.size() == 2 ? "roc_auc" : "accuracy";
  for (const EpochRecord& record : page.epochs) {
    RunReport::Epoch epoch;
    epoch.epoch = static_cast<double>(record.epoch);
    epoch.train_loss = record.train_loss;
    epoch.validation_loss = value_or_none(record.validation, "loss");
    epoch.validation_metric = value_or_none(record.validation, report.metric_name);
    epoch.learning_rate = record.learning_rate;
    report.epochs.push_back(epoch);
  }
  report.best_epoch = static_cast<double>(page.result.best_epoch);
}

void add_curves(RunReport& report, const RunPage& page) {
  if (page.model.labels.empty()) return;
  const auto classes = static_cast<int64_t>(page.class_names.size());
  const Predictions predictions{page.model.labels, page.model.probabilities, classes};
  for (int64_t id = classes == 2 ? 1 : 0; id < std::min(classes, kMostClassCurves); ++id) {
    const Ranking ranking(predictions, id);
    const std::string curve = classes == 2 ? "model" : page.class_names[static_cast<size_t>(id)];
    report.roc.push_back({curve, ranking.roc_curve(kCurvePoints)});
    report.pr.push_back({curve, ranking.pr_curve(kCurvePoints)});
  }
  const std::vector<uint32_t> once(page.model.labels.size(), 1);
  report.reliability = Reliability(predictions).bins(once);
  report.confusion = ConfusionMatrix(page.model.labels, predicted_classes(predictions), classes, once);
}

}  // namespace

void write_run_page(const RunPage& page) {
  RunReport report;
  report.title = std::filesystem::path(page.config.path).filename().string() + ": " + page.config.model.kind;
  report.summary = summary(page);
  for (const Contestant& contestant : page.result.contestants)
    report.scores.push_back({contestant.name == "model" ? "this model" : contestant.name, contestant.metrics});
  if (page.model.labels.empty()) report.headline = {"mse", "mae", "r2"};
  report.class_names = page.class_names;
  add_epochs(report, page);
  add_curves(report, page);
  report.groups = {group(page, "Data",
                         {{"data_sha256", "content (SHA-256)"},
                          {"split_id", "split"},
                          {"train_rows", "training rows"},
                          {"validation_rows", "validation rows"},
                          {"test_rows", "test rows"}}),
                   group(page, "Run",
                         {{"seed", "seed"},
                          {"ranks", "ranks"},
                          {"threads_per_rank", "threads of each rank"},
                          {"started", "started"},
                          {"tandem", "Tandem"},
                          {"source_version", "source version"}}),
                   group(page, "Machine",
                         {{"device", "computed on"},
                          {"math", "f32 products"},
                          {"precision", "precision"},
                          {"cpu", "processor"},
                          {"cores", "cores"},
                          {"memory_gib", "memory (GiB)"},
                          {"isa", "instruction set used"},
                          {"system", "system"}})};
  report.groups[1].facts.push_back({"seconds", fmt::format("{:.1f}", page.result.seconds)});
  RunConfig config = page.config;
  report.config = write_config(config.keys());
  report.files = {{"model.onnx", "the model, preprocessing included"},
                  {"manifest.json", "signature, hashes, metrics, golden samples"},
                  {"metrics.jsonl", "one line an epoch"},
                  {"config.ini", "the resolved configuration"},
                  {"run.json", "seed, source version, machine, data"}};
  write_report(report, page.folder.report());
}

}  // namespace tandem
