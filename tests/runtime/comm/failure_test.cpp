// Ranks that do not come, leave, abort or go another way: all others end with an error that names rank, step and collective.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>

#include "kernels/base/error.h"
#include "tests/runtime/comm/rank_threads.h"

namespace tandem {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr CommunicatorOptions kShort{.deadline = std::chrono::milliseconds(300)};

TEST(Failure, ALateRankIsNamedAtTheDeadline) {
  std::latch others_failed(2);
  const auto body = [&](Communicator& ranks) {
    ranks.set_step(119);
    ranks.barrier();
    ranks.set_step(120);
    std::vector<float> values(10);
    ranks.barrier();
    if (ranks.rank() == 1) {
      others_failed.wait();
      ranks.barrier();  // finds the group ended
      return;
    }
    try {
      ranks.all_reduce_sum(values, "grad.0");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
      others_failed.count_down();
      EXPECT_THROW(ranks.barrier(), Error);
      throw;
    }
    others_failed.count_down();
  };
  const std::vector<std::string> ends = run_as_threads(3, body, kShort);
  EXPECT_THAT(ends, Each(AllOf(HasSubstr("[all_reduce] rank 1 did not arrive within 300 ms"),
                               HasSubstr("step 120, collective 1, bucket 'grad.0'"))));
}

TEST(Failure, ARankThatLeavesIsNamedAtOnce) {
  const auto body = [](Communicator& ranks) {
    ranks.set_step(4);
    if (ranks.rank() != 2) ranks.barrier();
  };
  const std::vector<std::string> ends = run_as_threads(3, body);  // the deadline of 30 s plays no part
  EXPECT_THAT(ends[0], AllOf(HasSubstr("[barrier]"), HasSubstr("rank 2 left the group (step 4, collective 0)")));
  EXPECT_THAT(ends[1], HasSubstr("rank 2 left the group"));
  EXPECT_THAT(ends[2], IsEmpty());
}

TEST(Failure, LeavingAfterTheLastCollectiveIsNoError) {
  for (int repeat = 0; repeat < 50; ++repeat)
    EXPECT_THAT(run_as_threads(4,
                               [](Communicator& ranks) {
                                 std::vector<float> values(5000, 1.0f);
                                 ranks.all_reduce_sum(values);
                               }),
                Each(IsEmpty()));
}

TEST(Failure, AnAbortReachesAllRanksWithItsReason) {
  const auto body = [](Communicator& ranks) {
    ranks.set_step(7);
    if (ranks.rank() == 1) {
      ranks.abort("cannot write checkpoint: No space left on device");
      EXPECT_THROW(ranks.barrier(), Error);
    } else {
      ranks.barrier();
    }
  };
  const std::vector<std::string> ends = run_as_threads(3, body);
  for (size_t rank : {0u, 2u})
    EXPECT_THAT(ends[rank], AllOf(HasSubstr("[barrier] ended by rank 1: cannot write checkpoint"), HasSubstr("step 7")));
}

TEST(Failure, AfterAnAbortMemoryIsNotTouched) {
  std::latch aborted(1);
  const auto body = [&](Communicator& ranks) {
    if (ranks.rank() == 1) return aborted.wait();
    {
      std::vector<float> values(1 << 20, 1.0f);
      ranks.begin_all_reduce(values);
      ranks.begin_all_reduce(values);
      ranks.abort("an error elsewhere");
      aborted.count_down();
    }  // freed: a sanitizer would tell
    EXPECT_THROW(ranks.barrier(), Error);
  };
  EXPECT_THAT(run_as_threads(2, body), Each(IsEmpty()));
}

TEST(Failure, DestroyedWithCollectivesUnfinished) {
  std::vector<float> values(1 << 20, 1.0f);
  const auto body = [&](Communicator& ranks) {
    if (ranks.rank() == 0)
      ranks.begin_all_reduce(values);
    else
      ranks.barrier();
  };
  const std::vector<std::string> ends = run_as_threads(2, body);
  EXPECT_THAT(ends[1], testing::Not(IsEmpty()));
}

TEST(Failure, DifferentCollectivesAreTold) {
  const auto body = [](Communicator& ranks) {
    std::vector<float> values(ranks.rank() == 0 ? 100 : 101);
    ranks.all_reduce_sum(values);
  };
  EXPECT_THAT(run_as_threads(2, body), Each(AllOf(HasSubstr("ranks issued different collectives"),
                                                  HasSubstr("all_reduce of 400 bytes"), HasSubstr("all_reduce of 404 bytes"))));
  const auto other = [](Communicator& ranks) {
    std::vector<std::byte> bytes(8);
    if (ranks.rank() == 0)
      ranks.barrier();
    else
      ranks.broadcast(bytes, 1);
  };
  EXPECT_THAT(run_as_threads(2, other),
              Each(AllOf(HasSubstr("rank 0 barrier"), HasSubstr("rank 1 broadcast of 8 bytes from rank 1"))));
}

TEST(Failure, WrongArguments) {
  EXPECT_THROW(make_thread_group(0), Error);
  EXPECT_THROW(make_thread_group(65), Error);
  EXPECT_THROW(make_thread_group(2, {.deadline = std::chrono::milliseconds(0)}), Error);
  const auto group = make_thread_group(1);
  EXPECT_THROW(group[0]->wait(0), Error);
  EXPECT_THROW(group[0]->broadcast({}, 1), Error);
}

}  // namespace
}  // namespace tandem
