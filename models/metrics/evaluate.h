// All metrics of a model on a set of rows, each with its 95% interval.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/metrics/interval.h"
#include "models/metrics/predictions.h"

namespace tandem {

// `value` is NaN where the metric is undefined (roc_auc of rows of one class); then so are the bounds.
struct Metric {
  std::string name;
  double value = 0;
  double low = 0;  // of the 95% interval
  double high = 0;
  bool higher_is_better = true;
};

// accuracy (Wilson interval); precision, recall, f1, roc_auc, pr_auc (class 1 of two; of more classes one against the rest, mean
// over the classes where it is defined), log_loss, brier, ece (bootstrap intervals). Throws as check_predictions does.
std::vector<Metric> evaluate_classifier(const Predictions& predictions, const BootstrapOptions& options = {});

// mse, mae, r2 (bootstrap intervals). r2 of constant targets is 1 if they are met exactly, else 0. Throws InvalidArgument unless
// both have as many values, at least one, all finite.
std::vector<Metric> evaluate_regressor(std::span<const float> targets, std::span<const float> predicted,
                                       const BootstrapOptions& options = {});

// The metric of that name. Throws NotFound naming it.
const Metric& find_metric(const std::vector<Metric>& metrics, std::string_view name);

}  // namespace tandem
