// JSON for the terminal: one line, whatever bytes the names in a model or a path hold.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tandem::cli {

// Bytes that are not UTF-8 become U+FFFD.
inline std::string json_line(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tandem::cli
