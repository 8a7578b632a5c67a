#include "models/metrics/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "models/metrics/compensated_sum.h"

namespace tandem {

std::vector<double> log_losses(const Predictions& predictions) {
  constexpr double kEps = std::numeric_limits<double>::epsilon();
  std::vector<double> losses;
  for (int64_t i = 0; i < predictions.rows(); ++i) {
    const auto label = static_cast<size_t>(predictions.labels[static_cast<size_t>(i)]);
    losses.push_back(-std::log(std::clamp(predictions.row(i)[label], kEps, 1 - kEps)));
  }
  return losses;
}

std::vector<double> brier_scores(const Predictions& predictions) {
  std::vector<double> scores;
  for (int64_t i = 0; i < predictions.rows(); ++i) {
    const std::span<const double> row = predictions.row(i);
    const auto label = static_cast<size_t>(predictions.labels[static_cast<size_t>(i)]);
    double sum = 0;
    for (size_t k = 0; k < row.size(); ++k) {
      const double error = row[k] - (k == label ? 1 : 0);
      sum += error * error;
    }
    scores.push_back(predictions.classes == 2 ? sum / 2 : sum);
  }
  return scores;
}

double weighted_mean(const std::vector<double>& values, RowWeights weights) {
  CompensatedSum sum;
  int64_t count = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum.add(values[i] * weights[i]);
    count += weights[i];
  }
  return sum.value() / static_cast<double>(count);
}

Reliability::Reliability(const Predictions& predictions) {
  const std::vector<int64_t> predicted = predicted_classes(predictions);
  for (size_t i = 0; i < predicted.size(); ++i) {
    const double confidence = predictions.row(static_cast<int64_t>(i))[static_cast<size_t>(predicted[i])];
    // The bin's upper bound belongs to it; compared with the bounds themselves, so that 3/15 falls where the bounds say.
    int bin = std::clamp(static_cast<int>(std::ceil(confidence * kReliabilityBins)) - 1, 0, kReliabilityBins - 1);
    if (bin > 0 && confidence <= static_cast<double>(bin) / kReliabilityBins) --bin;
    confidence_.push_back(confidence);
    correct_.push_back(predicted[i] == predictions.labels[i]);
    bin_.push_back(static_cast<uint8_t>(bin));
  }
}

std::vector<ReliabilityBin> Reliability::bins(RowWeights weights) const {
  std::array<CompensatedSum, kReliabilityBins> confidence;
  std::array<int64_t, kReliabilityBins> rows{}, correct{};
  for (size_t i = 0; i < bin_.size(); ++i) {
    confidence[bin_[i]].add(confidence_[i] * weights[i]);
    rows[bin_[i]] += weights[i];
    correct[bin_[i]] += int64_t{correct_[i]} * weights[i];
  }
  std::vector<ReliabilityBin> out;
  for (size_t b = 0; b < kReliabilityBins; ++b) {
    ReliabilityBin bin{static_cast<double>(b) / kReliabilityBins, static_cast<double>(b + 1) / kReliabilityBins, rows[b]};
    if (rows[b] > 0) {
      bin.confidence = confidence[b].value() / static_cast<double>(rows[b]);
      bin.accuracy = static_cast<double>(correct[b]) / static_cast<double>(rows[b]);
    }
    out.push_back(bin);
  }
  return out;
}

double Reliability::expected_error(RowWeights weights) const {
  CompensatedSum sum;
  int64_t total = 0;
  for (const ReliabilityBin& bin : bins(weights)) {
    sum.add(static_cast<double>(bin.rows) * std::abs(bin.accuracy - bin.confidence));
    total += bin.rows;
  }
  return sum.value() / static_cast<double>(total);
}

}  // namespace tandem
