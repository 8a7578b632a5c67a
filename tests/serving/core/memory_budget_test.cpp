#include "serving/core/memory_budget.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(MemoryBudget, SharedStorageCountsOnce) {
  MemoryBudget budget(1000);
  const int weights = 0, others = 0;
  MemoryHold a(budget, "a");
  a.resize({{&weights, 400}}, 100);
  EXPECT_EQ(budget.used(), 500);
  EXPECT_EQ(budget.additional({{&weights, 400}, {&others, 50}}, 7), 57);
  {
    MemoryHold b(budget, "b");
    b.resize({{&weights, 400}, {&others, 50}}, 100);
    EXPECT_EQ(budget.used(), 650);
    b.resize({{&weights, 450}}, 100);  // more was packed of them
    EXPECT_EQ(budget.used(), 650);
  }
  EXPECT_EQ(budget.used(), 550) << "the larger size is held until the last one goes";
  a.resize({}, 1);
  EXPECT_EQ(budget.used(), 1);
}

TEST(MemoryBudget, RefusesWithFiguresAndKeepsWhatWasHeld) {
  MemoryBudget budget(1000);
  MemoryHold a(budget, "model 'a'"), b(budget, "model 'b'");
  a.resize({}, 700);
  b.resize({}, 200);
  try {
    b.resize({}, 400);
    FAIL() << "it fits";
  } catch (const DoesNotFit& error) {
    EXPECT_EQ(error.missing, 100);
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("model 'b' needs 400 bytes"), HasSubstr("--memory-limit is 1000"), HasSubstr("hold 700")));
  }
  EXPECT_EQ(budget.used(), 900);
  EXPECT_NO_THROW(budget.require_room("c", 100));
  EXPECT_THROW(budget.require_room("c", 101), DoesNotFit);
}

TEST(MemoryBudget, SizesAsPeopleWriteThem) {
  EXPECT_EQ(parse_bytes("4096"), 4096);
  EXPECT_EQ(parse_bytes("64K"), 65536);
  EXPECT_EQ(parse_bytes("1.5G"), int64_t{3} << 29);
  for (const char* wrong : {"", "M", "4T", "-1", "0", "1e30", "4 G", "nan", "inf"}) EXPECT_THROW(parse_bytes(wrong), Error) << wrong;
}

}  // namespace
}  // namespace tandem
