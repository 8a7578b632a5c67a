#include "models/run/evaluate.h"

#include <algorithm>

#include "models/metrics/calibration.h"
#include "models/metrics/ranking.h"
#include "models/run/build_network.h"

namespace tandem {
namespace {

Evaluation classifier(const Dataset& data, std::span<const int64_t> rows, std::vector<double> probabilities,
                      const BootstrapOptions& bootstrap) {
  Evaluation evaluation;
  evaluation.rows = static_cast<int64_t>(rows.size());
  for (int64_t row : rows) evaluation.labels.push_back(data.target().classes[static_cast<size_t>(row)]);
  evaluation.probabilities = std::move(probabilities);
  evaluation.metrics = evaluate_classifier(
      {evaluation.labels, evaluation.probabilities, static_cast<int64_t>(data.target().class_names.size())}, bootstrap);
  return evaluation;
}

Evaluation regressor(const Dataset& data, std::span<const int64_t> rows, std::vector<float> predicted,
                     const BootstrapOptions& bootstrap) {
  Evaluation evaluation;
  evaluation.rows = static_cast<int64_t>(rows.size());
  for (int64_t row : rows) evaluation.targets.push_back(data.target().values[static_cast<size_t>(row)]);
  evaluation.predicted = std::move(predicted);
  evaluation.metrics = evaluate_regressor(evaluation.targets, evaluation.predicted, bootstrap);
  return evaluation;
}

std::vector<float> predicted_values(Executor& executor, const Dataset& data, std::span<const int64_t> rows, int64_t batch) {
  const ModelOutput output = predict(executor, data, rows, kPrediction, batch);
  return {output.values.begin(), output.values.end()};
}

double share(int64_t part, size_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

Evaluation evaluate_model(Executor& executor, const Dataset& data, std::span<const int64_t> rows, int64_t batch,
                          const BootstrapOptions& bootstrap) {
  require(!rows.empty(), "there are no rows to evaluate");
  if (data.target().kind == TargetKind::kValue)
    return regressor(data, rows, predicted_values(executor, data, rows, batch), bootstrap);
  ModelOutput output = predict(executor, data, rows, kProbabilities, batch);
  require(output.columns == static_cast<int64_t>(data.target().class_names.size()),
          "the model and the data differ in the number of classes", output.columns, data.target().class_names.size());
  return classifier(data, rows, std::move(output.values), bootstrap);
}

Evaluation evaluate_majority(const Dataset& train, std::span<const int64_t> train_rows, const Dataset& data,
                             std::span<const int64_t> rows, const BootstrapOptions& bootstrap) {
  if (data.target().kind == TargetKind::kValue) {
    double mean = 0;
    for (int64_t row : train_rows)
      mean += static_cast<double>(train.target().values[static_cast<size_t>(row)]) / static_cast<double>(train_rows.size());
    return regressor(data, rows, std::vector<float>(rows.size(), static_cast<float>(mean)), bootstrap);
  }
  std::vector<int64_t> counts(data.target().class_names.size());
  for (int64_t row : train_rows) ++counts[static_cast<size_t>(train.target().classes[static_cast<size_t>(row)])];
  std::vector<double> probabilities;
  for (size_t i = 0; i < rows.size(); ++i)
    for (int64_t count : counts) probabilities.push_back(share(count, train_rows.size()));
  return classifier(data, rows, std::move(probabilities), bootstrap);
}

std::map<std::string, double> validation_metrics(Executor& executor, const Dataset& data, std::span<const int64_t> rows,
                                                 int64_t batch) {
  const std::vector<uint32_t> once(rows.size(), 1);
  if (data.target().kind == TargetKind::kValue) {
    const std::vector<float> predicted = predicted_values(executor, data, rows, batch);
    double squared = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const double error =
          static_cast<double>(predicted[i]) - static_cast<double>(data.target().values[static_cast<size_t>(rows[i])]);
      squared += error * error;
    }
    return {{"loss", squared / static_cast<double>(rows.size())}};
  }
  const ModelOutput output = predict(executor, data, rows, kProbabilities, batch);
  std::vector<int64_t> labels;
  for (int64_t row : rows) labels.push_back(data.target().classes[static_cast<size_t>(row)]);
  const Predictions predictions{labels, output.values, output.columns};
  const std::vector<int64_t> predicted = predicted_classes(predictions);
  int64_t hits = 0;
  for (size_t i = 0; i < labels.size(); ++i) hits += predicted[i] == labels[i];
  std::map<std::string, double> metrics{{"loss", weighted_mean(log_losses(predictions), once)},
                                        {"accuracy", share(hits, labels.size())}};
  if (output.columns == 2) metrics["roc_auc"] = Ranking(predictions, 1).areas(once).roc_auc;
  return metrics;
}

}  // namespace tandem
