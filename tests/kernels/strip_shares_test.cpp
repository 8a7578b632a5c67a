// How a team shares the lines and filters of a convolution by strips: everything once, and by filters only where that is evener.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/cpu/conv_strips.h"

namespace tandem::cpu {
namespace {

TEST(StripShares, TakeEveryLineAndPartOnce) {
  for (int64_t team = 1; team <= 5; ++team)
    for (int64_t images : {0, 1, 3})
      for (int64_t lines = 0; lines <= 20; ++lines)
        for (int64_t most : {1, 4, 7})
          for (int64_t filters : {1, 32, 96, 160, 256}) {
            const StripShares shares(images, lines, most, filters, team);
            std::vector<int> taken(static_cast<size_t>(images * lines * shares.parts));
            for (int64_t i = 0; i < shares.tasks(); ++i) {
              const StripShares::Task task = shares.task(i);
              ASSERT_LE(task.count, most);
              for (int64_t line = task.first; line < task.first + task.count; ++line)
                ++taken[static_cast<size_t>((task.part * images + task.image) * lines + line)];
            }
            for (int times : taken) ASSERT_EQ(times, 1) << images << ' ' << lines << ' ' << most << ' ' << filters << ' ' << team;
          }
}

// Two threads and seven lines: four of them, or the filters in whole 32s where these come out evener.
TEST(StripShares, GoByFiltersOnlyWhereTheseComeOutEvener) {
  for (int64_t filters : {64, 128, 192, 256, 512}) EXPECT_EQ(StripShares(1, 7, 2, filters, 2).parts, 2) << filters;
  for (int64_t filters : {16, 32, 65, 96, 130, 160}) EXPECT_EQ(StripShares(1, 7, 2, filters, 2).parts, 1) << filters;
  EXPECT_EQ(StripShares(8, 7, 2, 256, 2).parts, 1) << "56 lines come out even";
}

}  // namespace
}  // namespace tandem::cpu
