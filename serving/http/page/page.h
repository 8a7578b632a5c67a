// The built-in page, as embed.cmake has put it together.
#pragma once

#include <string_view>

namespace tandem {

extern const std::string_view kStatusPage;

}  // namespace tandem
