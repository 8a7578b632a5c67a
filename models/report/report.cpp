#include "models/report/report.h"

#include <fmt/format.h>

#include "models/report/html.h"
#include "models/report/sections.h"
#include "models/report/style.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

// The policy forbids every load, so that not even an escaping bug could reach out.
constexpr std::string_view kPolicy = "default-src 'none'; style-src 'unsafe-inline'";

std::string head(const std::string& title) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\"/>\n<title>{}</title>\n<style>{}</style></head>\n",
      kPolicy, title, kReportStyle);
}

}  // namespace

std::string facts_section(const RunReport& report) {
  std::string out;
  if (!report.groups.empty()) {
    out += "<section><h2>The run</h2>\n<div class=\"groups\">\n";
    for (const RunReport::Group& group : report.groups) {
      out += fmt::format("<div><h3>{}</h3><dl>", html_escape(group.title));
      for (const RunReport::Fact& fact : group.facts)
        out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_escape(fact.name), html_escape(fact.value));
      out += "</dl></div>\n";
    }
    out += "</div></section>\n";
  }
  if (!report.config.empty())
    out += fmt::format(
        "<section><h2>Configuration</h2>\n<details><summary>All keys, as resolved</summary><pre>{}</pre></details></section>\n",
        html_escape(report.config));
  if (!report.files.empty()) {
    out += "<section><h2>Files</h2>\n<ul class=\"files\">";
    for (const RunReport::File& file : report.files)
      out += fmt::format("<li><a href=\"{}\">{}</a>: {}</li>\n", html_link_target(file.path), html_escape(file.path),
                         html_escape(file.what));
    out += "</ul></section>\n";
  }
  return out;
}

std::string format_report(const RunReport& report) {
  const std::string title = html_escape(report.title);
  return head(title) + fmt::format("<body><main>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", title, html_escape(report.summary)) +
         headline_section(report) + results_section(report) + training_section(report) + test_section(report) +
         facts_section(report) + "</main></body></html>\n";
}

void write_report(const RunReport& report, const std::filesystem::path& path) { write_file(path, format_report(report)); }

}  // namespace tandem
