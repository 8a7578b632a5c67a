// The test metrics: three of them large, all of them in a table beside the baselines.
#include <fmt/format.h>

#include <cmath>

#include "models/report/html.h"
#include "models/report/sections.h"

namespace tandem {

std::string metric_title(const std::string& name) {
  static constexpr std::pair<std::string_view, std::string_view> kTitles[] = {{"accuracy", "Accuracy"},
                                                                              {"precision", "Precision"},
                                                                              {"recall", "Recall"},
                                                                              {"f1", "F1"},
                                                                              {"roc_auc", "ROC AUC"},
                                                                              {"pr_auc", "PR AUC"},
                                                                              {"log_loss", "Log loss"},
                                                                              {"brier", "Brier score"},
                                                                              {"ece", "Calibration error (ECE)"},
                                                                              {"mse", "Mean squared error"},
                                                                              {"mae", "Mean absolute error"},
                                                                              {"r2", "R squared"}};
  for (const auto& [key, title] : kTitles)
    if (key == name) return std::string(title);
  return name;
}

namespace {

const Metric* find(const std::vector<Metric>& metrics, const std::string& name) {
  for (const Metric& metric : metrics)
    if (metric.name == name) return &metric;
  return nullptr;
}

std::string range_text(const Metric& metric) {
  if (std::isnan(metric.low) || std::isnan(metric.high)) return "no interval";
  return fmt::format("{}\u2013{}", format_number(metric.low), format_number(metric.high));
}

std::string card(const RunReport& report, const Metric& metric) {
  std::string out = fmt::format("<div class=\"card\">{}<b>{}</b><span class=\"range\">95%: {}</span>",
                                html_escape(metric_title(metric.name)), format_number(metric.value), range_text(metric));
  for (size_t i = 1; i < report.scores.size(); ++i)
    if (const Metric* other = find(report.scores[i].metrics, metric.name))
      out += fmt::format("<span class=\"beside\">{}: {}</span>", html_escape(report.scores[i].name), format_number(other->value));
  return out + "</div>\n";
}

// The index of the best value of one metric; none if it is undefined everywhere.
size_t best_of(const RunReport& report, const Metric& metric) {
  size_t best = report.scores.size();
  double best_value = 0;
  for (size_t i = 0; i < report.scores.size(); ++i) {
    const Metric* other = find(report.scores[i].metrics, metric.name);
    if (other == nullptr || std::isnan(other->value)) continue;
    const double value = metric.higher_is_better ? other->value : -other->value;
    if (best < report.scores.size() && value <= best_value) continue;
    best = i;
    best_value = value;
  }
  return best;
}

}  // namespace

std::string headline_section(const RunReport& report) {
  if (report.scores.empty()) return "";
  std::string cards;
  for (const std::string& name : report.headline)
    if (const Metric* metric = find(report.scores.front().metrics, name)) cards += card(report, *metric);
  return cards.empty() ? "" : "<div class=\"cards\">\n" + cards + "</div>\n";
}

std::string results_section(const RunReport& report) {
  if (report.scores.empty()) return "";
  std::string out =
      "<section><h2>Results on the test split</h2>\n<div class=\"scroll\"><table class=\"results\"><thead><tr><th "
      "scope=\"col\">Metric</th>";
  for (const RunReport::Scores& scores : report.scores) out += fmt::format("<th scope=\"col\">{}</th>", html_escape(scores.name));
  out += "</tr></thead><tbody>\n";
  for (const Metric& metric : report.scores.front().metrics) {
    out += fmt::format("<tr><th scope=\"row\">{} {}</th>", html_escape(metric_title(metric.name)),
                       metric.higher_is_better ? "\u2191" : "\u2193");
    const size_t best = best_of(report, metric);
    for (size_t i = 0; i < report.scores.size(); ++i) {
      const Metric* cell = find(report.scores[i].metrics, metric.name);
      if (cell == nullptr)
        out += "<td>n/a</td>";
      else
        out += fmt::format("<td{}>{}<span class=\"range\">{}</span></td>", i == best ? " class=\"best\"" : "",
                           format_number(cell->value), range_text(*cell));
    }
    out += "</tr>\n";
  }
  out +=
      "</tbody></table></div>\n<p class=\"note\">Below each value stands its 95% interval: Wilson's for accuracy, percentile "
      "bootstrap ";
  return out +
         "for the others. \u2191: higher is better, \u2193: lower is better. The best value of a row is bold.</p></section>\n";
}

}  // namespace tandem
