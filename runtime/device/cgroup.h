// The share of the machine's processor time that a container or a systemd unit may use; neither OpenMP nor hwloc knows of it.
#pragma once

#include <filesystem>
#include <optional>

namespace tandem {

// The smallest CPU quota, in processors (1.5: one and a half), of this process's control group and those above it, in version 2
// (cpu.max) and version 1 (cpu.cfs_quota_us). None if no group has one. The paths are arguments for tests.
std::optional<double> cgroup_cpu_quota(const std::filesystem::path& membership = "/proc/self/cgroup",
                                       const std::filesystem::path& mount = "/sys/fs/cgroup");

}  // namespace tandem
