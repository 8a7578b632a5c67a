// Line plots as inline SVG: axes with round ticks, a grid, lines told apart by colour and dashes, a legend in HTML below.
//
// Ticks follow Heckbert, "Nice Numbers for Graph Labels", Graphics Gems (1990). Colours come from the page's style sheet (classes
// s0 ...).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/metrics/ranking.h"

namespace tandem {

struct PlotRange {
  double low = 0;
  double high = 1;
};

struct PlotSeries {
  std::string name;
  std::vector<CurvePoint> points;  // one that is not finite breaks the line
};

struct Plot {
  std::string title;
  std::string x_label = {};
  std::string y_label = {};             // "" if the title says it
  std::vector<PlotSeries> series = {};  // at most kPlotStyles are drawn
  std::optional<PlotRange> x = {};      // else what the points need
  std::optional<PlotRange> y = {};
  bool whole_x = false;               // x counts something: ticks at whole numbers only
  bool diagonal = false;              // a thin line from corner to corner, for chance or perfection
  std::optional<double> mark_x = {};  // a vertical line
};

constexpr size_t kPlotStyles = 12;

// Round numbers from about range.low to range.high, at most about `wanted`, each within the range.
std::vector<double> nice_ticks(PlotRange range, int wanted, bool whole);

// A <figure>: heading, SVG with `summary` as its description for screen readers, legend, and `numbers` (HTML) behind a
// disclosure.
std::string html_figure(const Plot& plot, std::string_view summary, std::string_view numbers);

}  // namespace tandem
