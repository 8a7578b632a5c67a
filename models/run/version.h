// Which source this program was built from.
#pragma once

#include <string_view>

namespace tandem {

inline constexpr std::string_view kVersion = "0.1.0";

// "git describe" of the source at configuration time, or "unknown" outside a checkout.
std::string_view source_version();

}  // namespace tandem
