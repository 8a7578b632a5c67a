#include "models/data/feature_spec.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "kernels/base/error.h"

namespace tandem {
namespace {

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Two passes: the sum of squares about the mean does not cancel.
double deviation_of(const std::vector<double>& values, double mean) {
  double sum = 0;
  for (double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

NumericFeature fit_numeric(const Column& column, std::span<const int64_t> rows, const FeatureOptions& options) {
  NumericFeature feature{column.name};
  feature.log1p = std::find(options.log1p.begin(), options.log1p.end(), column.name) != options.log1p.end();
  std::vector<double> values;
  for (int64_t row : rows) {
    const double value = column.numbers[static_cast<size_t>(row)];
    if (!std::isnan(value)) values.push_back(value);
  }
  require(!values.empty(), "column has no value in any training row; leave it out", column.name);
  feature.missing = static_cast<int64_t>(rows.size() - values.size());
  feature.fill = options.impute == Impute::kMedian ? median_of(values) : mean_of(values);
  values.resize(rows.size(), feature.fill);
  for (double& value : values) {
    if (!feature.log1p) break;
    require(value > -1, "log1p needs values above -1", column.name, value);
    value = std::log1p(value);
  }
  feature.mean = mean_of(values);
  const double deviation = deviation_of(values, feature.mean);
  // A constant column leaves rounding noise behind, never a scale.
  feature.deviation = deviation > 1e-12 * std::max(1.0, std::abs(feature.mean)) ? deviation : 1;
  return feature;
}

TextFeature fit_text(const Column& column, std::span<const int64_t> rows, const FeatureOptions& options) {
  TextFeature feature{column.name, {}, {}, options.missing};
  const auto is_missing = [&](const std::string& text) {
    return text.empty() || std::find(options.missing.begin(), options.missing.end(), text) != options.missing.end();
  };
  if (std::find(options.missing.begin(), options.missing.end(), "") == options.missing.end())
    feature.missing_texts.emplace_back();
  std::map<std::string, int64_t> counts;  // sorted
  for (int64_t row : rows) {
    const std::string& text = column.text[static_cast<size_t>(row)];
    if (is_missing(text))
      ++feature.missing;
    else
      ++counts[text];
  }
  for (const auto& [text, count] : counts) {
    if (count < options.min_count) {
      feature.rare += count;
      continue;
    }
    feature.categories.push_back(text);
    feature.counts.push_back(count);
  }
  require(!feature.categories.empty(), "column has no category with enough training rows; leave it out", column.name,
          options.min_count);
  return feature;
}

}  // namespace

FeatureSpec fit_features(const Table& table, std::span<const int64_t> rows, const FeatureOptions& options) {
  require(!rows.empty(), "there are no training rows to fit features on");
  for (const std::string& name : options.log1p)
    require(table.column(name).kind == ColumnKind::kNumeric, "log1p is asked for a text column", name);
  FeatureSpec spec;
  for (const Column& column : table.columns()) {
    if (column.kind == ColumnKind::kNumeric)
      spec.numeric.push_back(fit_numeric(column, rows, options));
    else
      spec.text.push_back(fit_text(column, rows, options));
  }
  return spec;
}

}  // namespace tandem
