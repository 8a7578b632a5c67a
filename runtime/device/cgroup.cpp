#include "runtime/device/cgroup.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace tandem {
namespace {

namespace fs = std::filesystem;

std::optional<double> to_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;  // "max"
  return value;
}

std::optional<double> ratio(const std::string& quota, const std::string& period) {
  const std::optional<double> time = to_number(quota), of = to_number(period);
  if (!time || !of || *time <= 0 || *of <= 0) return std::nullopt;  // version 1 says -1 for none
  return *time / *of;
}

// The quota of one group in either version's files; none if it has none, or no such files.
std::optional<double> quota_of(const fs::path& group) {
  std::string quota, period;
  if (std::ifstream(group / "cpu.max") >> quota >> period) return ratio(quota, period);
  if (std::ifstream(group / "cpu.cfs_quota_us") >> quota && std::ifstream(group / "cpu.cfs_period_us") >> period)
    return ratio(quota, period);
  return std::nullopt;
}

// Whether the comma-separated list of controllers names `cpu`.
bool names_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == "cpu") return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const fs::path& membership, const fs::path& mount) {
  std::optional<double> smallest;
  const auto consider = [&](const fs::path& root, fs::path group) {
    // In a container the path may be one of the host, of which only the root is mounted: groups that are not there have no quota.
    for (group = group.relative_path();; group = group.parent_path()) {
      if (const std::optional<double> quota = quota_of(root / group)) smallest = std::min(smallest.value_or(*quota), *quota);
      if (group.empty()) return;
    }
  };
  std::ifstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // "hierarchy:controllers:/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty())
      consider(mount, group);
    else if (names_cpu(controllers))
      consider(mount / (fs::exists(mount / controllers) ? controllers : "cpu"), group);
  }
  return smallest;
}

}  // namespace tandem
