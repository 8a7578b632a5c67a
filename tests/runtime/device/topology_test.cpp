#include "runtime/device/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "kernels/base/error.h"
#include "runtime/device/affinity.h"

namespace tandem {
namespace {

// Runs the body in a thread of its own, since affinity stays with the thread.
template <class Body>
void in_thread(Body body) {
  std::thread(body).join();
}

TEST(Topology, AllowedAreTheThreadsOwn) {
  std::vector<int> allowed = allowed_cpus().cpus;
  std::sort(allowed.begin(), allowed.end());
  EXPECT_EQ(allowed, thread_cpus());
  EXPECT_GE(allowed_cpus().threads, 1);
  EXPECT_LE(allowed_cpus().threads, static_cast<int>(allowed.size()));
}

TEST(Topology, FollowsTheAffinity) {
  in_thread([] {
    const int last = thread_cpus().back();
    set_thread_cpus(std::vector<int>{last});
    EXPECT_THAT(allowed_cpus().cpus, testing::ElementsAre(last));
    EXPECT_EQ(allowed_cpus().threads, 1);
  });
}

TEST(Topology, AnotherMachineInTheEnvironmentDoesNotMislead) {
  ::setenv("HWLOC_SYNTHETIC", "numa:2 core:4 pu:2", 1);
  EXPECT_EQ(allowed_cpus().cpus.size(), thread_cpus().size());
  ::unsetenv("HWLOC_SYNTHETIC");
}

TEST(Affinity, WrongProcessorsAreRefused) {
  in_thread([] {
    EXPECT_THROW(set_thread_cpus(std::vector<int>{-1}), Error);
    EXPECT_THROW(set_thread_cpus(std::vector<int>{1 << 20}), Error);
    EXPECT_THROW(set_thread_cpus(std::vector<int>{}), Error);
  });
}

TEST(Affinity, OpenmpBindingIsUndoneWithAWarning) {
  const std::vector<int> before = thread_cpus();
  in_thread([&] {
    EXPECT_EQ(undo_openmp_binding(), "");
    set_thread_cpus(std::vector<int>{before[0]});  // as libgomp would
    ::setenv("OMP_PROC_BIND", "false", 1);
    EXPECT_EQ(undo_openmp_binding(), "");
    EXPECT_EQ(thread_cpus().size(), 1u);
    ::setenv("OMP_PROC_BIND", "close", 1);
    EXPECT_THAT(undo_openmp_binding(), testing::HasSubstr("OMP_PROC_BIND"));
    EXPECT_GE(thread_cpus().size(), before.size());
    ::unsetenv("OMP_PROC_BIND");
  });
}

}  // namespace
}  // namespace tandem
