// The report's style sheet: system fonts, light and dark, one column on a phone.
#pragma once

#include <string_view>

namespace tandem {

extern const std::string_view kReportStyle;

}  // namespace tandem
