#include "models/report/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/report/html.h"

namespace tandem {
namespace {

// In SVG units; at a width of 360 CSS pixels, a phone's, one unit is one pixel.
constexpr double kWidth = 360, kHeight = 250, kLeft = 46, kRight = 12, kTop = 10, kBottom = 40;
constexpr size_t kDottedUpTo = 40;  // lines of so few points show each of them

// Maps values to SVG coordinates.
struct Frame {
  PlotRange x, y;
  double px(double value) const { return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight); }
  double py(double value) const { return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom); }
};

bool is_finite(const CurvePoint& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

PlotRange padded(PlotRange range, double share) {
  if (!(range.low <= range.high)) return {0, 1};  // no points
  const double size = range.high - range.low;
  const double pad = size > 0 ? share * size : range.low == 0 ? 1 : std::abs(range.low) * 0.1;
  return {range.low - pad, range.high + pad};
}

PlotRange needed(const Plot& plot, double CurvePoint::*axis, double share) {
  PlotRange range{INFINITY, -INFINITY};
  for (const PlotSeries& series : plot.series)
    for (const CurvePoint& point : series.points) {
      if (!is_finite(point)) continue;
      range.low = std::min(range.low, point.*axis);
      range.high = std::max(range.high, point.*axis);
    }
  return padded(range, share);
}

// Just the decimals that tell neighbouring ticks apart.
std::string tick_label(double value, double step) {
  if (std::abs(value) < step * 1e-6) return "0";
  if (std::abs(value) >= 1e5 || step < 1e-4) return fmt::format("{:.3g}", value);
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  return fmt::format("{:.{}f}", value, decimals);
}

std::string axes(const Plot& plot, const Frame& frame) {
  const std::vector<double> xs = nice_ticks(frame.x, 6, plot.whole_x), ys = nice_ticks(frame.y, 5, false);
  const double bottom = kHeight - kBottom, right = kWidth - kRight;
  const auto step = [](const std::vector<double>& ticks) { return ticks.size() > 1 ? ticks[1] - ticks[0] : 1; };
  std::string out;
  for (double y : ys) {
    out += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, right, frame.py(y),
                       frame.py(y));
    out += fmt::format("<text class=\"tick\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 5, frame.py(y) + 4,
                       tick_label(y, step(ys)));
  }
  for (double x : xs) {
    out += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\"/>", frame.px(x), frame.px(x), kTop,
                       bottom);
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", frame.px(x), bottom + 15,
                       tick_label(x, step(xs)));
  }
  out += fmt::format("<path class=\"axis\" d=\"M{} {}V{}H{}\"/>", kLeft, kTop, bottom, right);
  out += fmt::format("<text class=\"label\" x=\"{:.0f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (kLeft + right) / 2,
                     kHeight - 6, html_escape(plot.x_label));
  return out;
}

std::string line(const PlotSeries& series, size_t style, const Frame& frame) {
  std::string path, dots;
  const CurvePoint* last = nullptr;
  for (const CurvePoint& point : series.points) {
    if (is_finite(point)) {
      const double x = frame.px(point.x), y = frame.py(point.y);
      path += fmt::format("{}{:.1f} {:.1f}", last == nullptr ? 'M' : 'L', x, y);
      if (series.points.size() <= kDottedUpTo)
        dots += fmt::format("<circle class=\"dot s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"/>", style, x, y);
    }
    last = is_finite(point) ? &point : nullptr;
  }
  if (path.empty()) return "";
  return fmt::format("<path class=\"line s{}\" d=\"{}\"/>{}\n", style, path, dots);
}

std::string legend(const Plot& plot, size_t shown) {
  if (plot.series.size() < 2) return "";
  std::string out = "<ul class=\"legend\">";
  for (size_t i = 0; i < shown; ++i)
    out += fmt::format(
        "<li><svg width=\"26\" height=\"10\" aria-hidden=\"true\"><path class=\"line s{}\" d=\"M1 5H25\"/></svg> {}</li>", i,
        html_escape(plot.series[i].name));
  if (shown < plot.series.size()) out += fmt::format("<li>and {} more, not drawn</li>", plot.series.size() - shown);
  return out + "</ul>";
}

}  // namespace

std::vector<double> nice_ticks(PlotRange range, int wanted, bool whole) {
  const double raw = (range.high - range.low) / wanted;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  const double part = raw / power;
  double step = power * (part < 1.5 ? 1 : part < 3 ? 2 : part < 7 ? 5 : 10);
  if (whole) step = std::max(step, 1.0);
  std::vector<double> ticks;
  const double slack = step * 1e-9;
  for (double k = std::ceil((range.low - slack) / step); k * step <= range.high + slack; ++k) ticks.push_back(k * step);
  return ticks;
}

std::string html_figure(const Plot& plot, std::string_view summary, std::string_view numbers) {
  const Frame frame{plot.x.value_or(needed(plot, &CurvePoint::x, 0.02)), plot.y.value_or(needed(plot, &CurvePoint::y, 0.06))};
  const size_t shown = std::min(plot.series.size(), kPlotStyles);
  const std::string title = html_escape(plot.title), description = html_escape(summary);
  std::string out = fmt::format("<figure><figcaption><h3>{}</h3>", title);
  if (!plot.y_label.empty()) out += fmt::format("<p class=\"axis-name\">{}</p>", html_escape(plot.y_label));
  out += "</figcaption>\n";
  out += fmt::format("<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}: {}\">", kWidth, kHeight, title,
                     description);
  out += axes(plot, frame);
  if (plot.diagonal)
    out += fmt::format("<line class=\"diagonal\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
                       frame.px(frame.x.low), frame.py(frame.y.low), frame.px(frame.x.high), frame.py(frame.y.high));
  if (plot.mark_x && std::isfinite(*plot.mark_x))
    out += fmt::format("<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>", frame.px(*plot.mark_x), kTop,
                       kHeight - kBottom);
  for (size_t i = shown; i-- > 0;) out += line(plot.series[i], i, frame);  // the first series on top
  out += "</svg>\n" + legend(plot, shown) + fmt::format("<p class=\"note\">{}</p>", description);
  return out + fmt::format("<details><summary>Numbers</summary>{}</details></figure>\n", numbers);
}

}  // namespace tandem
