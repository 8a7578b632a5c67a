// Which requests leave together, and when: nothing here waits or runs.
#include "serving/batching/model_queue.h"

#include <gmock/gmock.h>

#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Error error_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return error;
  }
}

struct TestRequest final : QueuedRequest {
  explicit TestRequest(int id, int64_t rows = 1) : id(id) { this->rows = rows; }
  void drop(const std::exception_ptr&) override {}
  int id;
};

std::vector<int> ids(const std::vector<QueuedPtr>& batch) {
  std::vector<int> result;
  for (const QueuedPtr& request : batch) result.push_back(static_cast<const TestRequest&>(*request).id);
  return result;
}

class ModelQueueTest : public testing::Test {
 protected:
  // Pushes one request and gives it, to be changed before.
  void push(ModelQueue& queue, int id, int64_t rows = 1) { queue.push(std::make_shared<TestRequest>(id, rows), clock.time); }
  static std::shared_ptr<TestRequest> make(int id, int64_t priority = 0) {
    auto request = std::make_shared<TestRequest>(id);
    request->priority = priority;
    return request;
  }
  TestClock clock;
};

TEST_F(ModelQueueTest, WithoutADelayAllThatWaitsLeavesAtOnce) {
  ModelQueue queue("m", {.max_batch_size = 8});
  EXPECT_FALSE(queue.is_due(clock.time));
  for (int id : {1, 2, 3}) push(queue, id);
  EXPECT_TRUE(queue.is_due(clock.time));
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1, 2, 3));
  EXPECT_EQ(queue.size(), 0);
  EXPECT_THAT(queue.take(clock.time), IsEmpty());
}

TEST_F(ModelQueueTest, ABatchNeverHasMoreRowsThanAllowed) {
  ModelQueue queue("m", {.max_batch_size = 4});
  push(queue, 1, 2);
  push(queue, 2, 1);
  push(queue, 3, 2);  // would make five
  push(queue, 4, 1);
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1, 2));
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(3, 4));
}

TEST_F(ModelQueueTest, ARequestLargerThanABatchRunsAlone) {
  ModelQueue queue("m", {.max_batch_size = 4});
  push(queue, 1, 9);
  push(queue, 2);
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1));
}

TEST_F(ModelQueueTest, OnlyEqualShapesShareABatch) {
  ModelQueue queue("m", {.max_batch_size = 8, .max_delay = 1s});
  for (int id : {1, 2, 3}) {
    auto request = make(id);
    request->shape_class = {id == 3 ? 5 : 7};
    queue.push(std::move(request), clock.time);
  }
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1, 2)) << "the third can never join, so nobody waits for more";
  EXPECT_FALSE(queue.is_due(clock.time));
}

TEST_F(ModelQueueTest, WaitsForTheDelayOrAFullBatch) {
  ModelQueue queue("m", {.max_batch_size = 3, .max_delay = 10ms});
  push(queue, 1);
  clock.time += 4ms;
  push(queue, 2);
  EXPECT_FALSE(queue.is_due(clock.time));
  EXPECT_EQ(queue.next_event(clock.time), clock.time + 6ms);
  push(queue, 3);
  EXPECT_TRUE(queue.is_due(clock.time)) << "full";
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1, 2, 3));
  push(queue, 4);
  clock.time += 10ms;
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(4));
}

TEST_F(ModelQueueTest, APreferredSizeLeavesWithoutDelay) {
  ModelQueue queue("m", {.max_batch_size = 16, .preferred_sizes = {4, 2}, .max_delay = 1s});
  push(queue, 1);
  EXPECT_FALSE(queue.is_due(clock.time));
  for (int id : {2, 3, 4, 5}) push(queue, id);
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1, 2, 3, 4)) << "the largest that can be made";
  EXPECT_FALSE(queue.is_due(clock.time));
  clock.time += 1s;
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(5));
}

TEST_F(ModelQueueTest, UrgentRequestsGoFirst) {
  ModelQueue queue("m", {.max_batch_size = 2, .priority_levels = 3, .default_priority = 2});
  queue.push(make(1, 3), clock.time);
  queue.push(make(2, 0), clock.time);  // the default, 2
  queue.push(make(3, 1), clock.time);
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(3, 2));
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1));
  EXPECT_THROW(queue.push(make(4, 4), clock.time), Error);
  EXPECT_THROW(queue.push(make(5, -1), clock.time), Error);
  EXPECT_EQ(queue.size(), 0);
}

TEST_F(ModelQueueTest, AFullQueueRefuses) {
  ModelQueue queue("m", {.policy = {.max_size = 2}});
  push(queue, 1);
  push(queue, 2);
  try {
    push(queue, 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("Exceeds maximum queue size"));
  }
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(1));
  push(queue, 4);
  EXPECT_EQ(queue.size(), 2);
}

TEST_F(ModelQueueTest, RejectsWhatWaitedTooLong) {
  ModelQueue queue("m", {.max_batch_size = 8, .max_delay = 1s, .policy = {.timeout = 5ms}});
  push(queue, 1);
  EXPECT_EQ(queue.next_event(clock.time), clock.time + 5ms);
  clock.time += 4ms;
  push(queue, 2);
  EXPECT_THAT(queue.sweep(clock.time), IsEmpty());
  clock.time += 1ms;
  const auto dropped = queue.sweep(clock.time);
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_EQ(static_cast<const TestRequest&>(*dropped[0].first).id, 1);
  EXPECT_EQ(error_of(dropped[0].second).code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error_of(dropped[0].second).what(), HasSubstr("Request timeout expired"));
  EXPECT_EQ(queue.size(), 1);
}

TEST_F(ModelQueueTest, DelaysWhatWaitedTooLongBehindTheOthers) {
  ModelQueue queue(
      "m", {.max_batch_size = 2, .max_delay = 1s, .policy = {.on_timeout = QueuePolicy::OnTimeout::kDelay, .timeout = 5ms}});
  push(queue, 1);
  clock.time += 5ms;
  EXPECT_THAT(queue.sweep(clock.time), IsEmpty());
  push(queue, 2);
  EXPECT_THAT(ids(queue.take(clock.time)), ElementsAre(2, 1));
}

TEST_F(ModelQueueTest, ARequestMayShortenItsTimeoutWhereThePolicyAllows) {
  for (const bool allowed : {false, true}) {
    ModelQueue queue("m", {.max_batch_size = 8, .max_delay = 1s, .policy = {.timeout = 5ms, .allow_override = allowed}});
    auto longer = make(1), shorter = make(2);
    longer->timeout = 1s;
    shorter->timeout = 1ms;
    queue.push(longer, clock.time);
    queue.push(shorter, clock.time);
    clock.time += 1ms;
    EXPECT_EQ(queue.sweep(clock.time).size(), allowed ? 1u : 0u);
    clock.time += 4ms;
    EXPECT_EQ(queue.sweep(clock.time).size(), allowed ? 1u : 2u);
  }
}

TEST_F(ModelQueueTest, ADeadlineHoldsWhateverThePolicy) {
  ModelQueue queue("m", {.max_batch_size = 8, .policy = {.on_timeout = QueuePolicy::OnTimeout::kDelay, .timeout = 1ms}});
  auto request = make(1);
  request->deadline = clock.time + 3ms;
  queue.push(request, clock.time);
  clock.time += 2ms;
  EXPECT_THAT(queue.sweep(clock.time), IsEmpty());
  clock.time += 1ms;
  const auto dropped = queue.sweep(clock.time);
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_EQ(error_of(dropped[0].second).code(), ErrorCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace tandem
