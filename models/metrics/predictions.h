// What metrics of a classifier are computed from: true classes and predicted probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tandem {

// Views; the caller owns the numbers.
struct Predictions {
  std::span<const int64_t> labels;        // [rows], each in [0, classes)
  std::span<const double> probabilities;  // [rows, classes], row-major
  int64_t classes = 2;

  int64_t rows() const { return static_cast<int64_t>(labels.size()); }
  std::span<const double> row(int64_t i) const {
    return probabilities.subspan(static_cast<size_t>(i * classes), static_cast<size_t>(classes));
  }
};

// How often each row counts: all ones, or one bootstrap resample.
using RowWeights = std::span<const uint32_t>;

// Throws InvalidArgument naming the row unless there is at least one row, every label is a class, and every row's probabilities
// lie in [0, 1] and sum to 1 within 1e-3.
void check_predictions(const Predictions& predictions);

// The most probable class of each row; the first of equals.
std::vector<int64_t> predicted_classes(const Predictions& predictions);

}  // namespace tandem
