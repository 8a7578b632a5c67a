#include "serving/core/version_labels.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "serving/core/version_policy.h"

namespace tandem {
namespace {

constexpr size_t kLongest = 64;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

bool valid_version_label(std::string_view text) {
  return !text.empty() && text.size() <= kLongest && is_letter(text[0]) &&
         std::ranges::all_of(text, [](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
}

VersionLabels parse_version_labels(std::string_view text) {
  VersionLabels labels;
  while (!trimmed(text).empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view one = trimmed(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t equals = std::min(one.find('='), one.size());
    const std::string_view label = trimmed(one.substr(0, equals));
    const int64_t version = equals < one.size() ? parse_version(trimmed(one.substr(equals + 1))) : 0;
    require(valid_version_label(label) && version > 0, "a version's label is written as stable=3 (letters, digits, - and _; a letter first)", one);
    require(labels.emplace(label, version).second, "a label may name one version only", label);
  }
  return labels;
}

}  // namespace tandem
