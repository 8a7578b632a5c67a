// The quota, read from trees like those of the kernel's documentation (cgroup-v2.rst, sched-bwc.rst).
#include "runtime/device/cgroup.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace tandem {
namespace {

namespace fs = std::filesystem;

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/tandem-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::create_directories(folder_ / "mount");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void put(const fs::path& relative, const std::string& text) {
    fs::create_directories((folder_ / relative).parent_path());
    std::ofstream(folder_ / relative) << text;
  }
  std::optional<double> quota() const { return cgroup_cpu_quota(folder_ / "self", folder_ / "mount"); }

  fs::path folder_;
};

TEST_F(CgroupTest, VersionTwoTakesTheSmallestOnTheWayUp) {
  put("self", "0::/a/b\n");
  EXPECT_EQ(quota(), std::nullopt);
  put("mount/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), std::nullopt);
  put("mount/a/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  put("mount/a/b/cpu.max", "300000 100000\n");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CgroupTest, VersionOne) {
  put("self", "5:memory:/x\n3:cpu,cpuacct:/job\n1:cpuset:/y\n");
  put("mount/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  put("mount/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), std::nullopt);
  put("mount/cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n");
  put("mount/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(CgroupTest, AContainerSeesTheHostsPathAndItsOwnRoot) {
  put("self", "0::/docker/0123\n");
  put("mount/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CgroupTest, NonsenseIsNoQuota) {
  put("self", "0::/a\nnonsense\n::\n");
  put("mount/a/cpu.max", "0 0\n");
  EXPECT_EQ(quota(), std::nullopt);
  put("mount/a/cpu.max", "12x y\n");
  EXPECT_EQ(quota(), std::nullopt);
  put("mount/a/cpu.max", "");
  EXPECT_EQ(quota(), std::nullopt);
  EXPECT_EQ(cgroup_cpu_quota(folder_ / "absent", folder_ / "mount"), std::nullopt);
}

}  // namespace
}  // namespace tandem
