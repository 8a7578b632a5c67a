// "did you mean ...": the name nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tandem {

// The candidate with the smallest edit distance (swapped neighbours count once) to `name`, if that is small enough to be a slip; else "".
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates);

// " (did you mean 'x'?)", or "" if nothing is near.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace tandem
