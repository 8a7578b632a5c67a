#include "models/report/html.h"

#include <fmt/format.h>

#include <cmath>

#include "models/data/utf8.h"

namespace tandem {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

constexpr bool is_plain_in_url(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
         c == '/';
}

}  // namespace

std::string html_escape(std::string_view text) {
  const bool valid = is_utf8(text);
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F;
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: control || (byte >= 0x80 && !valid) ? out += kReplacement : out += c;
    }
  }
  return out;
}

std::string html_link_target(std::string_view path) {
  std::string out = "./";
  for (char c : path) {
    if (is_plain_in_url(c))
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string format_number(double value) {
  if (std::isnan(value)) return "n/a";
  const double size = std::abs(value);
  if (size != 0 && (size < 0.001 || size >= 100'000)) return fmt::format("{:.3g}", value);
  if (size >= 100) return fmt::format("{:.1f}", value);
  return fmt::format("{:.4f}", value);
}

std::string html_table(std::string_view caption, const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"scroll\"><table>";
  if (!caption.empty()) out += fmt::format("<caption>{}</caption>", html_escape(caption));
  out += "<thead><tr>";
  for (const std::string& cell : header) out += fmt::format("<th scope=\"col\">{}</th>", html_escape(cell));
  out += "</tr></thead><tbody>";
  for (const std::vector<std::string>& row : rows) {
    out += "<tr>";
    for (const std::string& cell : row) {
      const std::string text = html_escape(cell);
      out += &cell == &row.front() ? "<th scope=\"row\">" + text + "</th>" : "<td>" + text + "</td>";
    }
    out += "</tr>";
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace tandem
