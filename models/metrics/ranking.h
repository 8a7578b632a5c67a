// How well the probability of one class ranks its rows above the others: ROC and precision-recall curves and the areas under
// them.
//
// Rows are sorted once; each resample is then one pass over them. Counts are integers, so the ROC area is exact before its one
// division.
#pragma once

#include <cstdint>
#include <vector>

#include "models/metrics/predictions.h"

namespace tandem {

struct CurvePoint {
  double x = 0;
  double y = 0;
};

struct RankingAreas {
  double roc_auc = 0;            // probability that a positive row scores above a negative one, ties counting half
  double average_precision = 0;  // sum over thresholds of (recall gained) * precision; scikit-learn's average_precision_score
};

class Ranking {
 public:
  // Class `positive` against all others, by its probability.
  Ranking(const Predictions& predictions, int64_t positive);

  // NaN where undefined: roc_auc without a positive or a negative row, average_precision without a positive one.
  RankingAreas areas(RowWeights weights) const;
  // (false positive rate, true positive rate) at every distinct threshold, from (0, 0) to (1, 1), thinned evenly to at most
  // `max_points`. Empty if undefined.
  std::vector<CurvePoint> roc_curve(size_t max_points) const;
  // (recall, precision) at every distinct threshold, from (0, 1), likewise thinned. Empty if undefined.
  std::vector<CurvePoint> pr_curve(size_t max_points) const;

 private:
  struct Counts {
    int64_t positive = 0;
    int64_t negative = 0;
  };
  // Calls visit(counts of one group of equal scores), from the highest score down.
  template <class Visit>
  void for_each_group(RowWeights weights, const Visit& visit) const;
  // The running counts after each group.
  std::vector<Counts> cumulative() const;

  struct Entry {
    uint32_t row;
    bool positive;
    bool last_of_group;
  };
  std::vector<Entry> order_;  // by falling score
};

}  // namespace tandem
