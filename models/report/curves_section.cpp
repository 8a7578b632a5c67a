// Curves over epochs, and on the test split: ROC, precision-recall, reliability, confusion.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/report/html.h"
#include "models/report/sections.h"
#include "models/report/svg_plot.h"

namespace tandem {
namespace {

using Epoch = RunReport::Epoch;

PlotSeries series_of(const RunReport& report, const std::string& name, double Epoch::*field) {
  PlotSeries series{name, {}};
  bool any = false;
  for (const Epoch& epoch : report.epochs) {
    series.points.push_back({epoch.epoch, epoch.*field});
    any |= std::isfinite(epoch.*field);
  }
  if (!any) series.points.clear();
  return series;
}

std::string last_values(const Plot& plot) {
  std::string out;
  for (const PlotSeries& series : plot.series)
    for (size_t i = series.points.size(); i-- > 0;)
      if (std::isfinite(series.points[i].y)) {
        out += fmt::format("{}{} {}", out.empty() ? "At the end: " : ", ", series.name, format_number(series.points[i].y));
        break;
      }
  return out + ".";
}

// The same points as text, at most about forty of them.
std::string numbers_of(const Plot& plot) {
  std::vector<std::string> header = {plot.x_label};
  for (const PlotSeries& series : plot.series) header.push_back(series.name);
  std::vector<std::vector<std::string>> rows;
  const size_t count = plot.series.front().points.size(), step = (count + 39) / 40;
  for (size_t i = 0; i < count; i += step) {
    const size_t at = i + step >= count ? count - 1 : i;
    rows.push_back({fmt::format("{:g}", plot.series.front().points[at].x)});
    for (const PlotSeries& series : plot.series) rows.back().push_back(format_number(series.points[at].y));
  }
  return html_table("", header, rows);
}

std::string epoch_figure(const RunReport& report, Plot plot, const std::string& note) {
  std::erase_if(plot.series, [](const PlotSeries& series) { return series.points.empty(); });
  if (plot.series.empty()) return "";
  plot.x_label = "epoch";
  plot.whole_x = true;
  if (std::isfinite(report.best_epoch)) plot.mark_x = report.best_epoch;
  return html_figure(plot, last_values(plot) + note, numbers_of(plot));
}

std::string curve_numbers(const std::vector<RunReport::Curve>& curves, const std::string& x, const std::string& y) {
  std::string out;
  for (size_t c = 0; c < std::min(curves.size(), kPlotStyles); ++c) {
    const std::vector<CurvePoint>& points = curves[c].points;
    std::vector<std::vector<std::string>> rows;
    const size_t shown = std::min<size_t>(points.size(), 12);
    for (size_t i = 0; i < shown; ++i) {
      const CurvePoint& point = points[shown == 1 ? 0 : i * (points.size() - 1) / (shown - 1)];
      rows.push_back({format_number(point.x), format_number(point.y)});
    }
    out += html_table(curves[c].name, {x, y}, rows);
  }
  return out;
}

std::string curve_figure(const std::vector<RunReport::Curve>& curves, Plot plot, const std::string& note) {
  if (curves.empty()) return "";
  plot.x = plot.y = PlotRange{0, 1};
  for (const RunReport::Curve& curve : curves) plot.series.push_back({curve.name, curve.points});
  const std::string subject = curves.size() == 1 ? curves[0].name + ": " : "One class against the rest: ";
  return html_figure(plot, subject + note, curve_numbers(curves, plot.x_label, plot.y_label));
}

std::string reliability_figure(const std::vector<ReliabilityBin>& bins) {
  Plot plot{"Reliability", "confidence", "share of right answers"};
  plot.x = plot.y = PlotRange{0, 1};
  plot.diagonal = true;
  plot.series.push_back({"this model", {}});
  std::vector<std::vector<std::string>> rows;
  double largest = 0;
  for (const ReliabilityBin& bin : bins) {
    if (bin.rows == 0) continue;
    plot.series[0].points.push_back({bin.confidence, bin.accuracy});
    largest = std::max(largest, std::abs(bin.confidence - bin.accuracy));
    rows.push_back({fmt::format("{:.3f} to {:.3f}", bin.low, bin.high), fmt::format("{}", bin.rows),
                    format_number(bin.confidence), format_number(bin.accuracy)});
  }
  if (rows.empty()) return "";
  const std::string note = fmt::format(
      "Rows grouped by the confidence of their predicted class. On the dotted line confidence is neither too high nor "
      "too low; the largest gap is {}.",
      format_number(largest));
  return html_figure(plot, note, html_table("", {"confidence", "rows", "mean confidence", "right"}, rows));
}

std::string class_name(const RunReport& report, int64_t id) {
  return static_cast<size_t>(id) < report.class_names.size() ? report.class_names[static_cast<size_t>(id)] : std::to_string(id);
}

std::string confusion_figure(const RunReport& report) {
  const ConfusionMatrix& confusion = *report.confusion;
  std::string out = confusion.classes() > 5 ? "<figure class=\"wide\">" : "<figure>";
  out +=
      "<figcaption><h3>Confusion matrix</h3><p class=\"axis-name\">rows: true class; columns: predicted class; shade: share of "
      "the true "
      "class</p></figcaption>\n<div class=\"scroll\"><table class=\"confusion\"><thead><tr><td></td>";
  for (int64_t p = 0; p < confusion.classes(); ++p)
    out += fmt::format("<th scope=\"col\">{}</th>", html_escape(class_name(report, p)));
  out += "</tr></thead><tbody>\n";
  for (int64_t t = 0; t < confusion.classes(); ++t) {
    int64_t rows = 0;
    for (int64_t p = 0; p < confusion.classes(); ++p) rows += confusion.at(t, p);
    out += fmt::format("<tr><th scope=\"row\">{}</th>", html_escape(class_name(report, t)));
    for (int64_t p = 0; p < confusion.classes(); ++p) {
      // Half-transparent at most, so that the text keeps its contrast.
      const double share = rows > 0 ? static_cast<double>(confusion.at(t, p)) / static_cast<double>(rows) : 0;
      out += fmt::format("<td{} style=\"background: rgba(var(--heat), {:.3f})\">{}</td>", t == p ? " class=\"right\"" : "",
                         0.45 * std::sqrt(share), confusion.at(t, p));
    }
    out += "</tr>\n";
  }
  return out + fmt::format("</tbody></table></div><p class=\"note\">{} of {} rows are right.</p></figure>\n", confusion.correct(),
                           confusion.total());
}

}  // namespace

std::string training_section(const RunReport& report) {
  const std::string best = std::isfinite(report.best_epoch)
                               ? fmt::format(" The dashed line marks epoch {:g}, whose weights were kept.", report.best_epoch)
                               : "";
  Plot loss{"Loss"}, metric{metric_title(report.metric_name)}, rate{"Learning rate"};
  loss.series = {series_of(report, "training", &Epoch::train_loss), series_of(report, "validation", &Epoch::validation_loss)};
  metric.series = {series_of(report, "training", &Epoch::train_metric),
                   series_of(report, "validation", &Epoch::validation_metric)};
  rate.series = {series_of(report, "learning rate", &Epoch::learning_rate)};
  const std::string figures =
      epoch_figure(report, loss, best) + epoch_figure(report, metric, best) + epoch_figure(report, rate, "");
  return figures.empty() ? "" : "<section><h2>Training</h2>\n<div class=\"figures\">\n" + figures + "</div></section>\n";
}

std::string test_section(const RunReport& report) {
  Plot roc{"ROC curve", "false positive rate", "true positive rate"}, pr{"Precision and recall", "recall", "precision"};
  roc.diagonal = true;
  std::string figures =
      curve_figure(report.roc, roc, "how many positives are found for how many false alarms. The dotted line is chance.");
  figures += curve_figure(report.pr, pr, "how many of the rows called positive are so, for each share of positives found.");
  figures += reliability_figure(report.reliability);
  if (report.confusion) figures += confusion_figure(report);
  return figures.empty() ? "" : "<section><h2>On the test split</h2>\n<div class=\"figures\">\n" + figures + "</div></section>\n";
}

}  // namespace tandem
