// Which of a model's versions are served: a pure function of the versions that are there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

struct VersionPolicy {
  enum class Kind : uint8_t { kLatest, kAll, kSpecific };
  Kind kind = Kind::kLatest;
  int64_t latest = 1;             // kLatest: how many of the highest
  std::vector<int64_t> versions;  // kSpecific
};

// "latest", "latest:2", "all" or "1,3". Throws InvalidArgument naming the text and the forms allowed.
VersionPolicy parse_version_policy(std::string_view text);
std::string to_string(const VersionPolicy& policy);

// The versions to serve, ascending. What a specific policy names and is not there is left out.
std::vector<int64_t> select_versions(std::vector<int64_t> available, const VersionPolicy& policy);

// The number a version folder or a request names: decimal, positive, no leading zero, at most 18 digits; 0 if `text` is none.
int64_t parse_version(std::string_view text);

}  // namespace tandem
