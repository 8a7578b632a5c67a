#include "serving/core/version_policy.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace tandem {

int64_t parse_version(std::string_view text) {
  if (text.empty() || text.size() > 18 || text[0] == '0') return 0;
  int64_t version = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return 0;
    version = version * 10 + (c - '0');
  }
  return version;
}

VersionPolicy parse_version_policy(std::string_view text) {
  constexpr std::string_view kForms = "version policy must be 'latest', 'latest:N', 'all' or a list such as '1,3'";
  VersionPolicy policy;
  if (text == "latest") return policy;
  if (text == "all") {
    policy.kind = VersionPolicy::Kind::kAll;
    return policy;
  }
  if (text.starts_with("latest:")) {
    policy.latest = parse_version(text.substr(7));
    require(policy.latest > 0, kForms, text);
    return policy;
  }
  policy.kind = VersionPolicy::Kind::kSpecific;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    policy.versions.push_back(parse_version(text.substr(begin, end - begin)));
    require(policy.versions.back() > 0, kForms, text);
    begin = end + 1;
  }
  return policy;
}

std::string to_string(const VersionPolicy& policy) {
  if (policy.kind == VersionPolicy::Kind::kAll) return "all";
  if (policy.kind == VersionPolicy::Kind::kLatest) return "latest:" + std::to_string(policy.latest);
  std::string text;
  for (int64_t version : policy.versions) text += (text.empty() ? "" : ",") + std::to_string(version);
  return text;
}

std::vector<int64_t> select_versions(std::vector<int64_t> available, const VersionPolicy& policy) {
  std::sort(available.begin(), available.end());
  available.erase(std::unique(available.begin(), available.end()), available.end());
  if (policy.kind == VersionPolicy::Kind::kLatest) {
    const int64_t extra = static_cast<int64_t>(available.size()) - policy.latest;
    if (extra > 0) available.erase(available.begin(), available.begin() + extra);
  } else if (policy.kind == VersionPolicy::Kind::kSpecific) {
    std::erase_if(available,
                  [&](int64_t version) { return std::ranges::find(policy.versions, version) == policy.versions.end(); });
  }
  return available;
}

}  // namespace tandem
