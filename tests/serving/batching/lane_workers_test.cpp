// Which processors a lane's thread, and the team that it begins, may use.
#include "serving/batching/lane_workers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <thread>
#include <vector>

#include "runtime/device/affinity.h"
#include "runtime/device/topology.h"

namespace tandem {
namespace {

TEST(LaneWorkers, AcrossLanesAThreadHasTheProcessorsOfAll) {
  if (allowed_cpus().threads < 2) GTEST_SKIP() << "one processor makes one lane";
  LaneSet lanes({.lanes = 2, .threads = 1});
  LaneWorkers workers(lanes);
  std::vector<int> before, across, within_a_thread, after;
  std::promise<void> done;
  workers.submit(0, [&] {
    before = thread_cpus();
    workers.run_across(0, 2, [&] {
      across = thread_cpus();
      std::thread([&] { within_a_thread = thread_cpus(); }).join();
    });
    after = thread_cpus();
    done.set_value();
  }, [](const Error&) {});
  done.get_future().wait();
  EXPECT_EQ(before, lanes[0].options().cpus);
  std::vector<int> all = lanes[0].options().cpus;
  all.insert(all.end(), lanes[1].options().cpus.begin(), lanes[1].options().cpus.end());
  std::ranges::sort(all);
  EXPECT_EQ(across, all);
  EXPECT_EQ(within_a_thread, all);
  EXPECT_EQ(after, before);
  lanes.stop(Lane::Stop::kDrain);
}

}  // namespace
}  // namespace tandem
