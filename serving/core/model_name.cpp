#include "serving/core/model_name.h"

#include <algorithm>

namespace tandem {

bool valid_model_name(std::string_view name) {
  if (name.empty() || name.size() > 128 || name[0] == '.') return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.+=").find(c) != std::string_view::npos;
  });
}

}  // namespace tandem
