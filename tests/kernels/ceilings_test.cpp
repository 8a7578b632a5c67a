// The loops behind `tandem bench machine` compute what they say, so that nothing of them was left out; how fast they are is not tested.
#include "kernels/cpu/machine/ceilings.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace tandem::cpu {
namespace {

constexpr int64_t kSteps = 4096;

TEST(Ceilings, LoopsDoAllTheirSteps) {
  // x = x / 2 + 1/4 ends at 1/2; 24 chains begin at 0 to 23; a tile's element sums 64 products of 1, or 32 of 1/4.
  const std::map<std::string_view, double> expected = {
      {"f32 multiply and add, 128 bits", 0.5 * 4 * 8},
      {"f32 FMA, 256 bits", 0.5 * 8 * 12},
      {"f32 FMA, 512 bits", 0.5 * 16 * 24},
      {"int8 VNNI, 256 bits", 66 + 12.0 * kSteps * 4 * 3 * 5},
      {"int8 VNNI, 512 bits", 276 + 24.0 * kSteps * 4 * 3 * 5},
      {"bf16 dot product, 512 bits", 276 + 24.0 * kSteps * 2 * 0.5},
      {"int8 AMX", 64.0 * kSteps},
      {"bf16 AMX", 32.0 * kSteps * 0.25},
      {"f32 FMA, 128 bits", 0.5 * 4 * 24},
      {"int8 dot product, 128 bits", 276 + 24.0 * kSteps * 4 * 3 * 3},
      {"int8 matrices, 128 bits", 276 + 24.0 * kSteps * 8 * 3 * 3},
      {"bf16 matrices, 128 bits", 276 + 24.0 * kSteps * 4 * 0.25},
  };
  for (const ArithmeticProbe* probe : arithmetic_probes()) {
    ASSERT_TRUE(expected.contains(probe->name)) << probe->name;
    EXPECT_FLOAT_EQ(probe->run(kSteps), static_cast<float>(expected.at(probe->name))) << probe->name;
  }
}

TEST(Ceilings, EveryMachineHasAProbeOfFloats) {
  ASSERT_FALSE(arithmetic_probes().empty());
  EXPECT_EQ(arithmetic_probes().front()->arithmetic, Arithmetic::kF32);
  EXPECT_GT(operations_per_second(Arithmetic::kF32, {.threads = 1, .rounds = 1, .round_seconds = 1e-4}), 0);
  EXPECT_GT(operations_per_second(Arithmetic::kF32, {.threads = 3, .rounds = 1, .round_seconds = 1e-4}), 0);
}

TEST(Ceilings, StreamsTouchEveryElementOnce) {
  constexpr int64_t kElements = 3 * kStreamStep;
  std::vector<float> a(kElements), b(kElements), c(kElements, 4);
  std::iota(b.begin(), b.end(), 1.0f);
  const float sum = static_cast<float>(kElements * (kElements + 1) / 2);
  for (const StreamProbe* probe : stream_probes()) {
    EXPECT_EQ(probe->read(b.data(), kElements), sum);
    EXPECT_EQ(probe->read_in_streams(b.data(), kElements), sum);
    probe->write(a.data(), kElements, 7);
    EXPECT_EQ(a, std::vector<float>(kElements, 7));
    probe->copy(a.data(), b.data(), kElements);
    EXPECT_EQ(a, b);
    probe->triad(a.data(), b.data(), c.data(), kElements, 0.5f);
    for (int64_t i = 0; i < kElements; ++i) ASSERT_EQ(a[static_cast<size_t>(i)], static_cast<float>(i + 3)) << i;
  }
}

}  // namespace
}  // namespace tandem::cpu
