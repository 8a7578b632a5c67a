#include "models/run/rank_device.h"

#include <gtest/gtest.h>

#include "kernels/base/error.h"
#include "tests/support/cuda_emulator/script.h"

namespace tandem {
namespace {

int ordinal(const std::string& text, int rank, int world) { return open_rank_device(text, rank, world)->info().ordinal; }

TEST(RankDevice, RanksTakeTurns) {
  emulator::reset();
  emulator::set_device_count(2);
  for (const char* text : {"cuda", "auto"})
    for (int rank = 0; rank < 5; ++rank) EXPECT_EQ(ordinal(text, rank, 5), rank % 2);
  EXPECT_EQ(ordinal("cuda:1", 0, 2), 1);
  EXPECT_EQ(ordinal("cuda", 0, 1), 0);
  EXPECT_EQ(open_rank_device("cpu", 1, 2), nullptr);
  emulator::set_driver(0);
  EXPECT_EQ(open_rank_device("auto", 1, 2), nullptr);
  EXPECT_THROW(open_rank_device("cuda", 1, 2), Error);
  emulator::reset();
}

}  // namespace
}  // namespace tandem
