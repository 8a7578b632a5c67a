#include "models/metrics/predictions.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/base/error.h"

namespace tandem {

void check_predictions(const Predictions& predictions) {
  const int64_t rows = predictions.rows(), classes = predictions.classes;
  require(classes >= 2, "a classifier has at least two classes", classes);
  require(rows >= 1, "there are no rows to evaluate");
  require(static_cast<int64_t>(predictions.probabilities.size()) == rows * classes,
          "number of probabilities is not rows times classes", predictions.probabilities.size(), rows, classes);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t label = predictions.labels[static_cast<size_t>(row)];
    require(label >= 0 && label < classes, "label is not a class", "row " + std::to_string(row), label, classes);
    double sum = 0;
    for (double p : predictions.row(row)) {
      require(p >= 0 && p <= 1, "probability does not lie in [0, 1]", "row " + std::to_string(row), p);
      sum += p;
    }
    require(std::abs(sum - 1) <= 1e-3, "probabilities do not sum to 1", "row " + std::to_string(row), sum);
  }
}

std::vector<int64_t> predicted_classes(const Predictions& predictions) {
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < predictions.rows(); ++i) {
    const std::span<const double> row = predictions.row(i);
    classes.push_back(std::max_element(row.begin(), row.end()) - row.begin());
  }
  return classes;
}

}  // namespace tandem
