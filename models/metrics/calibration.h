// Whether probabilities mean what they say: log loss, Brier score, reliability and expected calibration error (ECE).
//
// Source of ECE: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
#pragma once

#include <cstdint>
#include <vector>

#include "models/metrics/predictions.h"

namespace tandem {

// -ln of the true class's probability, clipped to [eps, 1 - eps] with the eps of f64 (scikit-learn's log_loss). In nats, one a
// row.
std::vector<double> log_losses(const Predictions& predictions);

// Sum over classes of (probability - truth)^2, halved for two classes, where it is (p - y)^2 of class 1 (scikit-learn's
// brier_score_loss, scale_by_half="auto"). One a row.
std::vector<double> brier_scores(const Predictions& predictions);

// The weighted mean of one value a row, summed with compensation.
double weighted_mean(const std::vector<double>& values, RowWeights weights);

constexpr int kReliabilityBins = 15;

// Rows whose predicted class has a confidence in (low, high]; the first bin takes 0 as well.
struct ReliabilityBin {
  double low = 0;
  double high = 0;
  int64_t rows = 0;
  double confidence = 0;  // mean probability of the predicted class; 0 without rows
  double accuracy = 0;    // share of rows whose predicted class is true; 0 without rows
};

// Rows binned once by the confidence of their predicted class (top label), in equal-width bins.
class Reliability {
 public:
  explicit Reliability(const Predictions& predictions);
  std::vector<ReliabilityBin> bins(RowWeights weights) const;
  // Mean over rows of |accuracy - confidence| of their bin.
  double expected_error(RowWeights weights) const;

 private:
  std::vector<double> confidence_;
  std::vector<uint8_t> correct_;
  std::vector<uint8_t> bin_;
};

}  // namespace tandem
