// The few pieces of HTML that the report is made of. The output is also well-formed XML, which is what its test checks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tandem {

// Text for an element or a quoted attribute: & < > " ' become entities, control characters and bytes that are not UTF-8 become
// U+FFFD.
std::string html_escape(std::string_view text);

// A relative path for href: percent-encoded, and begun with "./", so that no scheme can hide in it.
std::string html_link_target(std::string_view path);

// Three or four significant decimals; "n/a" for NaN.
std::string format_number(double value);

// A table of escaped cells; the first column is the row's header. `caption` may be empty.
std::string html_table(std::string_view caption, const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows);

}  // namespace tandem
