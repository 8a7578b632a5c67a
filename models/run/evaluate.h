// A model on rows it did not train on: its metrics, with what is needed to draw them.
#pragma once

#include <span>
#include <vector>

#include "models/metrics/evaluate.h"
#include "models/run/batches.h"

namespace tandem {

struct Evaluation {
  std::vector<Metric> metrics;
  int64_t rows = 0;
  // A classifier: true classes and probabilities [rows, classes]. A regression: true and predicted values.
  std::vector<int64_t> labels;
  std::vector<double> probabilities;
  std::vector<float> targets, predicted;
};

// `executor` runs a network of build_network or a model it became. `resamples` of the bootstrap: 0 gives no intervals (bounds
// equal the value).
Evaluation evaluate_model(Executor& executor, const Dataset& data, std::span<const int64_t> rows, int64_t batch,
                          const BootstrapOptions& bootstrap);

// The classifier that always answers with the training rows' class shares: the first baseline.
Evaluation evaluate_majority(const Dataset& train, std::span<const int64_t> train_rows, const Dataset& data,
                             std::span<const int64_t> rows, const BootstrapOptions& bootstrap);

// Mean cross-entropy (or squared error) over the rows: what early stopping looks at, without the cost of intervals. Also accuracy
// and, of two classes, roc_auc.
std::map<std::string, double> validation_metrics(Executor& executor, const Dataset& data, std::span<const int64_t> rows,
                                                 int64_t batch);

}  // namespace tandem
