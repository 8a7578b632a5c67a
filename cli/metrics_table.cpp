#include "cli/metrics_table.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace tandem::cli {

std::string metrics_table(const std::vector<MetricsColumn>& columns) {
  std::string text = fmt::format("{:<12}", "");
  for (const MetricsColumn& column : columns) text += fmt::format("{:<28}", column.name);
  text += "\n";
  for (const Metric& metric : columns.at(0).metrics) {
    text += fmt::format("{:<12}", metric.name);
    for (const MetricsColumn& column : columns) {
      const Metric& m = find_metric(column.metrics, metric.name);
      text += fmt::format("{:<28}", std::isnan(m.value) ? "undefined" : fmt::format("{:.4f} [{:.4f}, {:.4f}]", m.value, m.low, m.high));
    }
    text += "\n";
  }
  return text;
}

nlohmann::json metrics_json(const std::vector<Metric>& metrics) {
  const auto number = [](double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); };
  nlohmann::json out = nlohmann::json::object();
  for (const Metric& metric : metrics) out[metric.name] = {{"value", number(metric.value)}, {"low", number(metric.low)}, {"high", number(metric.high)}};
  return out;
}

}  // namespace tandem::cli
