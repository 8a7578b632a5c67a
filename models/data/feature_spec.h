// What preprocessing must know about each column, fitted on the training rows only. models/nn turns it into graph nodes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/data/table.h"

namespace tandem {

enum class Impute { kMedian, kMean };

struct FeatureOptions {
  Impute impute = Impute::kMedian;
  std::vector<std::string> log1p = {};  // number columns to transform by log(1 + x) before scaling; their values must exceed -1
  int64_t min_count = 1;                // categories seen less often are treated as unknown
  std::vector<std::string> missing = {"", "?", "NA", "NaN", "nan"};  // texts that mean "no value", also at serving time
};

// The encoded value of x is (t(fill if x is NaN, else x) - mean) / deviation, t being log1p or nothing.
struct NumericFeature {
  std::string name;
  bool log1p = false;
  double fill = 0;       // median or mean of the values present, in the column's own unit
  double mean = 0;       // of the transformed column, missing values filled
  double deviation = 1;  // likewise, population form (divided by n); 1 for a constant column
  int64_t missing = 0;   // training rows without a value
};

// One category, missing, or unknown (anything else).
struct TextFeature {
  std::string name;
  std::vector<std::string> categories;     // sorted by bytes
  std::vector<int64_t> counts;             // training rows of each
  std::vector<std::string> missing_texts;  // what a client may send for "no value"; "" among them
  int64_t missing = 0;                     // training rows without a value
  int64_t rare = 0;                        // training rows whose category fell below min_count
};

// In the order of the table's columns, each kind by itself.
struct FeatureSpec {
  std::vector<NumericFeature> numeric;
  std::vector<TextFeature> text;
};

// Fits on `rows` of a table of feature columns. Throws InvalidArgument naming the column if it has no value in any of them, or if
// a log1p column is not one of the number columns or has a value that is too small.
FeatureSpec fit_features(const Table& table, std::span<const int64_t> rows, const FeatureOptions& options = {});

}  // namespace tandem
