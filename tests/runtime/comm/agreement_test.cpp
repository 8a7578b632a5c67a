#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/base/error.h"
#include "tests/runtime/comm/rank_threads.h"

namespace tandem {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Agreement, EqualFactsPass) {
  EXPECT_THAT(run_as_threads(3,
                             [](Communicator& ranks) {
                               check_agreement(ranks, std::vector<Fact>{{"seed", "7"}, {"plan", "ab"}});
                             }),
              Each(IsEmpty()));
}

TEST(Agreement, TheRankAndTheFactAreNamedOnAllRanks) {
  EXPECT_THAT(run_as_threads(3,
                             [](Communicator& ranks) {
                               check_agreement(ranks, std::vector<Fact>{{"plan", "ab"}, {"seed", ranks.rank() == 2 ? "8" : "7"}});
                             }),
              Each(HasSubstr("ranks disagree on seed: rank 0 has '7', rank 2 has '8'")));
}

TEST(Agreement, OtherSetsOfFacts) {
  EXPECT_THAT(run_as_threads(2,
                             [](Communicator& ranks) {
                               std::vector<Fact> facts{{"plan", "ab"}};
                               if (ranks.rank() == 1) facts.push_back({"seed", "7"});
                               check_agreement(ranks, facts);
                             }),
              Each(HasSubstr("rank 1 has 'seed'")));
  EXPECT_THAT(run_as_threads(
                  2,
                  [](Communicator& ranks) {
                    check_agreement(ranks, std::vector<Fact>{{ranks.rank() == 0 ? "a" : "ab", ranks.rank() == 0 ? "bc" : "c"}});
                  }),
              Each(HasSubstr("ranks disagree on what to compare: rank 0 has 'a', rank 1 has 'ab'")));
}

}  // namespace
}  // namespace tandem
