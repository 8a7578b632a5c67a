// Metrics side by side, with their intervals.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/metrics/evaluate.h"

namespace tandem::cli {

struct MetricsColumn {
  std::string name;
  std::vector<Metric> metrics;
};

// One row a metric, one column a contestant: "0.9143 [0.9071, 0.9212]".
std::string metrics_table(const std::vector<MetricsColumn>& columns);
// {"roc_auc": {"value": 0.91, "low": ..., "high": ...}, ...}; null where undefined.
nlohmann::json metrics_json(const std::vector<Metric>& metrics);

}  // namespace tandem::cli
