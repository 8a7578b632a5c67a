#include "serving/engine/eviction.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ResidentModel model(std::string name, int64_t bytes, int last_used, bool is_kept = false) {
  return {std::move(name), bytes, {}, Clock::TimePoint(std::chrono::seconds(last_used)), is_kept};
}

TEST(Eviction, TheLeastRecentlyUsedGoFirst) {
  const std::vector<ResidentModel> models{model("new", 10, 9), model("old", 10, 1), model("used", 90, 0, true), model("middle", 10, 5)};
  EXPECT_THAT(models_to_evict(models, 1), ElementsAre("old"));
  EXPECT_THAT(models_to_evict(models, 11), ElementsAre("old", "middle"));
  EXPECT_THAT(models_to_evict(models, 30), ElementsAre("old", "middle", "new"));
}

TEST(Eviction, NobodyGoesInVain) {
  EXPECT_THAT(models_to_evict({model("a", 10, 1), model("b", 10, 2)}, 21), IsEmpty());
  EXPECT_THAT(models_to_evict({}, 1), IsEmpty());
  EXPECT_THAT(models_to_evict({model("small", 1, 1), model("large", 10, 2)}, 10), ElementsAre("large"));
}

TEST(Eviction, WhatIsSharedGoesWithTheLastThatHasIt) {
  const int trunk = 0, other = 0;
  const auto with = [](ResidentModel model, const int& part) {
    model.shared.push_back({&part, 100});
    return model;
  };
  const ResidentModel first = with(model("first", 10, 1), trunk), second = with(model("second", 10, 2), trunk), third = with(model("third", 10, 3), other);
  EXPECT_THAT(models_to_evict({first, second, third}, 20), ElementsAre("first", "second"));
  EXPECT_THAT(models_to_evict({first, second, third}, 120), ElementsAre("first", "second"));
  ResidentModel used = second;
  used.is_kept = true;
  EXPECT_THAT(models_to_evict({first, used, third}, 100), ElementsAre("third")) << "the first would give back 10 of its 110";
  EXPECT_THAT(models_to_evict({first, used, third}, 121), IsEmpty());
}

}  // namespace
}  // namespace tandem
