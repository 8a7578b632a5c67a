#include "runtime/conformance/isolated_tasks.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <thread>

namespace tandem {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::map<size_t, TaskOutcome> outcomes(size_t count, int workers, const std::function<std::string(size_t)>& task,
                                       milliseconds limit = milliseconds(60'000)) {
  std::map<size_t, TaskOutcome> all;
  run_isolated(count, workers, limit, task, [&](size_t i, TaskOutcome outcome) {
    EXPECT_TRUE(all.emplace(i, std::move(outcome)).second) << "task " << i << " ended twice";
  });
  return all;
}

// As a crash ends it, whatever handlers a sanitizer has.
[[noreturn]] void die_of(int signal) {
  std::signal(signal, SIG_DFL);
  rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::raise(signal);
  ::_exit(77);
}

TEST(IsolatedTasks, EachRunsOnceAndItsTextComesBack) {
  for (int workers : {1, 3, 50}) {
    const auto all = outcomes(20, workers, [](size_t i) { return std::string(i * 50'000, 'x') + std::to_string(i); });
    ASSERT_EQ(all.size(), 20u);
    for (const auto& [i, outcome] : all) {
      EXPECT_TRUE(outcome.finished);
      EXPECT_EQ(outcome.text, std::string(i * 50'000, 'x') + std::to_string(i));
    }
  }
}

TEST(IsolatedTasks, NoneIsFine) {
  EXPECT_TRUE(outcomes(0, 2, [](size_t) { return std::string(); }).empty());
}

TEST(IsolatedTasks, OneThatDiesTakesNoOtherWithIt) {
  const auto all = outcomes(9, 2, [](size_t i) {
    if (i == 1) die_of(SIGSEGV);
    if (i == 2) die_of(SIGABRT);
    if (i == 4) ::_exit(3);
    if (i == 5) throw std::runtime_error("out of the task");
    return "fine " + std::to_string(i);
  });
  ASSERT_EQ(all.size(), 9u);
  EXPECT_THAT(all.at(1).text, HasSubstr("signal 11"));
  EXPECT_THAT(all.at(2).text, HasSubstr("signal 6"));
  EXPECT_THAT(all.at(4).text, HasSubstr("exit code 3"));
  EXPECT_THAT(all.at(5).text, HasSubstr("exit code 1"));
  for (size_t i : {0, 3, 6, 7, 8}) EXPECT_EQ(all.at(i).text, "fine " + std::to_string(i));
  for (size_t i : {1, 2, 4, 5}) EXPECT_FALSE(all.at(i).finished);
}

TEST(IsolatedTasks, OneThatHangsIsEnded) {
  const auto all = outcomes(4, 2, [](size_t i) {
    if (i == 1) std::this_thread::sleep_for(std::chrono::hours(1));
    return std::string("fine");
  }, milliseconds(2'000));
  EXPECT_FALSE(all.at(1).finished);
  EXPECT_EQ(all.at(1).text, "took longer than 2 s");
  for (size_t i : {0, 2, 3}) EXPECT_TRUE(all.at(i).finished);
}

TEST(IsolatedTasks, WhatTheCallerThrowsLeavesNoProcess) {
  EXPECT_THROW(run_isolated(
                   5, 2, milliseconds(60'000), [](size_t) { return std::string(); },
                   [](size_t, const TaskOutcome&) { throw std::runtime_error("enough"); }),
               std::runtime_error);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

}  // namespace
}  // namespace tandem
