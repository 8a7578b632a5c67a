// Ranks as processes: this program runs itself again, as `launcher_test MODE FOLDER`, for each rank.
#include "runtime/comm/launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "kernels/base/error.h"
#include "runtime/device/affinity.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

constexpr int kFailed = 75;

fs::path file_of(const fs::path& folder, int rank) { return folder / ("rank" + std::to_string(rank)); }

void sum_and_compare(Communicator& ranks) {
  for (size_t size : {size_t{1}, size_t{1000}, size_t{300001}}) {
    std::vector<float> values(size, static_cast<float>(ranks.rank() + 1));
    ranks.all_reduce_sum(values, "grad.0");
    const float expected = static_cast<float>(ranks.size() * (ranks.size() + 1) / 2);
    check(values == std::vector<float>(size, expected), ErrorCode::kInternal, "wrong sum", size, values[0], expected);
  }
}

// Endless steps, in the third of which rank 1 meets its fate.
void run_steps(Communicator& ranks, std::string_view fate) {
  std::vector<float> values(1000);
  for (int64_t step = 0; step < 100000; ++step) {
    ranks.set_step(step);
    ranks.all_reduce_sum(values, "grad.0");
    if (step == 3 && ranks.rank() == 1) {
      if (fate == "kill") ::raise(SIGKILL);
      if (fate == "stop") ::raise(SIGSTOP);
      if (fate == "exit") ::_exit(0);
      if (fate == "fail") throw Error(ErrorCode::kUnavailable, "disk full");
    }
    ranks.all_reduce_sum(values, "grad.1");
    std::this_thread::sleep_for(milliseconds(1));
  }
}

std::string cpus_of_this_process() {
  std::string text;
  for (int cpu : thread_cpus()) text += " " + std::to_string(cpu) + " ";
  return text;
}

volatile std::sig_atomic_t told_to_stop = 0;

// A rank that is told to stop before it had time to say what it does then.
int late_rank(const fs::path& folder) {
  const std::string rank = std::getenv("TANDEM_RANK");
  write_file(folder / ("rank1" + rank), std::to_string(::getpid()));
  sigset_t pending;
  for (int attempt = 0; attempt < 1000 && (sigpending(&pending) != 0 || !sigismember(&pending, SIGINT)); ++attempt)
    std::this_thread::sleep_for(milliseconds(10));
  std::signal(SIGINT, [](int) { told_to_stop = 1; });
  const std::unique_ptr<Communicator> ranks = join_launched_group();
  return told_to_stop ? 0 : kFailed;
}

int rank_main(std::string_view mode, const fs::path& folder) {
  if (mode == "late") return late_rank(folder);
  const milliseconds deadline(mode == "stop" ? 1000 : 20000);
  const std::unique_ptr<Communicator> ranks = join_launched_group({.deadline = deadline});
  try {
    if (mode == "sum") {
      sum_and_compare(*ranks);
      write_file(file_of(folder, ranks->rank()), cpus_of_this_process());
    } else if (mode == "seed") {
      check_agreement(*ranks, std::vector<Fact>{{"seed", std::to_string(ranks->rank())}});
    } else {
      write_file(file_of(folder, 10 + ranks->rank()), std::to_string(::getpid()));
      run_steps(*ranks, mode);
    }
    return 0;
  } catch (const Error& error) {
    write_file(file_of(folder, ranks->rank()), error.what());
    ranks->abort(error.what());
    return kFailed;
  }
}

class LauncherTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/tandem-ranks-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  LaunchResult launch(int ranks, const std::string& mode, milliseconds grace = milliseconds(5000)) {
    return launch_ranks({.ranks = ranks, .arguments = {"launcher_test", mode, folder_.string()}, .grace = grace});
  }
  std::string said(int rank) const {
    return fs::exists(file_of(folder_, rank)) ? read_file(file_of(folder_, rank), 1 << 20) : "(nothing)";
  }
  pid_t pid_of(int rank) const {
    for (int attempt = 0; attempt < 1000 && !fs::exists(file_of(folder_, 10 + rank)); ++attempt)
      std::this_thread::sleep_for(milliseconds(10));
    return std::stoi(said(10 + rank));
  }

  fs::path folder_;
};

TEST_F(LauncherTest, ProcessesSum) {
  for (int ranks : {1, 2, 4}) {
    const LaunchResult result = launch(ranks, "sum");
    EXPECT_EQ(result.exit_code, 0) << said(0) << said(1);
    EXPECT_EQ(result.message, "");
  }
}

TEST_F(LauncherTest, RanksHaveProcessorsOfTheirOwn) {
  ASSERT_EQ(launch(2, "sum").exit_code, 0);
  if (thread_cpus().size() < 2) GTEST_SKIP() << "one processor only";
  EXPECT_NE(said(0), said(1));
  std::istringstream words(said(0));
  for (std::string cpu; words >> cpu;) EXPECT_EQ(said(1).find(" " + cpu + " "), std::string::npos);
}

TEST_F(LauncherTest, AKilledRankEndsTheOthersAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  const LaunchResult result = launch(4, "kill");
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(10000));  // the deadline is 20 s
  EXPECT_EQ(result.exit_code, 128 + SIGKILL);
  EXPECT_THAT(result.message, HasSubstr("rank 1 of 4 was killed by signal 9"));
  for (int rank : {0, 2, 3})
    EXPECT_THAT(said(rank),
                AllOf(HasSubstr("[all_reduce]"), HasSubstr("rank 1 died"), HasSubstr("step 3, collective 1, bucket 'grad.1'")));
}

TEST_F(LauncherTest, AFrozenRankEndsTheOthersAtTheDeadline) {
  const LaunchResult result = launch(2, "stop", milliseconds(200));
  EXPECT_EQ(result.exit_code, kFailed);
  EXPECT_THAT(result.message,
              AllOf(HasSubstr("rank 0 of 2 ended with exit code 75"), HasSubstr("rank 1 of 2 did not end and was killed")));
  EXPECT_THAT(said(0), HasSubstr("[all_reduce] rank 1 did not arrive within 1 s (step 3, collective 1, bucket 'grad.1')"));
  EXPECT_EQ(::kill(pid_of(1), 0), -1);
}

TEST_F(LauncherTest, ARankThatEndsEarlyIsMissed) {
  EXPECT_EQ(launch(2, "exit").exit_code, kFailed);
  EXPECT_THAT(said(0), AllOf(HasSubstr("rank 1 died"), HasSubstr("step 3")));
}

TEST_F(LauncherTest, ARanksOwnErrorReachesTheOthers) {
  EXPECT_EQ(launch(2, "fail").exit_code, kFailed);
  EXPECT_THAT(said(0), AllOf(HasSubstr("ended by rank 1: disk full"), HasSubstr("step 3")));
  EXPECT_EQ(said(1), "disk full");
}

TEST_F(LauncherTest, DisagreementIsNamedOnAllRanks) {
  EXPECT_EQ(launch(2, "seed").exit_code, kFailed);
  for (int rank : {0, 1}) EXPECT_THAT(said(rank), HasSubstr("ranks disagree on seed: rank 0 has '0', rank 1 has '1'"));
}

// A launcher in a process of its own, which a test may end.
pid_t launcher_process(const fs::path& folder, const std::string& mode = "run") {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const LaunchResult result =
      launch_ranks({.ranks = 2, .arguments = {"launcher_test", mode, folder.string()}, .grace = milliseconds(2000)});
  ::_exit(result.exit_code);
}

bool ends_soon(pid_t pid) {
  for (int attempt = 0; attempt < 500 && ::kill(pid, 0) == 0; ++attempt) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(status, text);
    if (text.find(") Z") != std::string::npos) return true;  // nobody has waited for it yet
    std::this_thread::sleep_for(milliseconds(10));
  }
  return ::kill(pid, 0) != 0;
}

TEST_F(LauncherTest, SignalsArePassedOn) {
  const pid_t launcher = launcher_process(folder_);
  const pid_t ranks[] = {pid_of(0), pid_of(1)};
  ::kill(launcher, SIGTERM);
  int status = 0;
  ::waitpid(launcher, &status, 0);
  // The rank whose end is seen first decides; the other may have found it dead and said so.
  EXPECT_THAT(WEXITSTATUS(status), AnyOf(128 + SIGTERM, kFailed));
  for (pid_t rank : ranks) EXPECT_TRUE(ends_soon(rank));
}

TEST_F(LauncherTest, ASignalWaitsForARankThatIsNotReadyForIt) {
  const pid_t launcher = launcher_process(folder_, "late");
  for (int rank : {0, 1}) pid_of(rank);
  ::kill(launcher, SIGINT);
  int status = 0;
  ::waitpid(launcher, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(LauncherTest, RanksDoNotOutliveTheLauncher) {
  const pid_t launcher = launcher_process(folder_);
  const pid_t ranks[] = {pid_of(0), pid_of(1)};
  ::kill(launcher, SIGKILL);
  ::waitpid(launcher, nullptr, 0);
  for (pid_t rank : ranks) EXPECT_TRUE(ends_soon(rank));
}

TEST_F(LauncherTest, WrongUse) {
  EXPECT_FALSE(is_launched_rank());
  EXPECT_THROW(join_launched_group(), Error);
  EXPECT_THROW(launch_ranks({.ranks = 0, .arguments = {"x"}}), Error);
  EXPECT_THROW(launch_ranks({.ranks = 2, .arguments = {}}), Error);
  ::setenv("TANDEM_COMM_FD", "0", 1);
  ::setenv("TANDEM_RANK", "0", 1);
  EXPECT_THROW(join_launched_group(), Error);
  ::setenv("TANDEM_COMM_FD", "x", 1);
  EXPECT_THROW(join_launched_group(), Error);
  ::unsetenv("TANDEM_COMM_FD");
  ::unsetenv("TANDEM_RANK");
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  if (tandem::is_launched_rank() && argc == 3) return tandem::rank_main(argv[1], argv[2]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
