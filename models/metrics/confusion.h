// Counts of (true class, predicted class), and what follows from them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/metrics/predictions.h"

namespace tandem {

class ConfusionMatrix {
 public:
  // REQUIRES: labels, predicted and weights have as many entries; classes lie in [0, classes).
  ConfusionMatrix(std::span<const int64_t> labels, std::span<const int64_t> predicted, int64_t classes, RowWeights weights);

  int64_t classes() const { return classes_; }
  int64_t at(int64_t truth, int64_t predicted) const { return counts_[static_cast<size_t>(truth * classes_ + predicted)]; }
  int64_t correct() const;
  int64_t total() const;

 private:
  int64_t classes_;
  std::vector<int64_t> counts_;
};

// Two classes: of class 1. More: the mean over all classes, also those without a row. A ratio without a denominator is 0, and so
// is F1 then (scikit-learn: average "binary" or "macro", zero_division=0).
struct PrecisionRecall {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
};
PrecisionRecall precision_recall(const ConfusionMatrix& confusion);

}  // namespace tandem
