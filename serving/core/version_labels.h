// Names for versions of a model, "stable" or "canary", that clients use in place of numbers and that are moved without them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace tandem {

using VersionLabels = std::map<std::string, int64_t, std::less<>>;

// A letter, then letters, digits, - and _; 64 at most. Never a number, so no version is meant by it.
bool valid_version_label(std::string_view text);
// "stable=3, canary=4". Throws InvalidArgument naming what is wrong.
VersionLabels parse_version_labels(std::string_view text);

}  // namespace tandem
