#include "serving/engine/eviction.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ResidentModel model(std::string name, int64_t bytes, int last_used, bool is_kept = false) {
  return {std::move(name), bytes, Clock::TimePoint(std::chrono::seconds(last_used)), is_kept};
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
}

}  // namespace
}  // namespace tandem
