// Training steps whose gradients go through NCCL, against the way through the host: the same bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/comm/device_communicator.h"
#include "tests/models/run/training_job.h"
#include "tests/support/fake_libraries/use_nccl.h"

namespace tandem::test {
namespace {

class UseStandIn : public ::testing::Environment {
 public:
  void SetUp() override { use_fake_nccl(); }
};
const auto* const kUseStandIn = ::testing::AddGlobalTestEnvironment(new UseStandIn);

constexpr int64_t kBatch = 8, kSteps = 5;

TEST(CudaNcclTraining, OneRankHasTheBitsOfTheHostsWay) {
  if (!cuda::library_status(cuda::Library::kNccl).usable()) GTEST_SKIP() << "no NCCL";
  const Job job = load("digits", kBatch * kSteps);
  const auto device = open_cuda(0);
  const auto ranks = make_local_communicator();
  const Trainer::Options options{.communicator = ranks.get(), .device = device};
  const auto through_host = trainer_of(job, kBatch, options, {.reduces_alone = true});
  const auto expected = losses(*through_host, job, kBatch, kSteps);

  const ConnectedDevices gpus = connect_devices(*ranks, device);
  ASSERT_NE(gpus.communicator, nullptr) << gpus.problem;
  const auto trainer = trainer_of(job, kBatch, options, {.reduces_alone = true});
  EXPECT_EQ(losses(*trainer, job, kBatch, kSteps), expected);
  for (const auto& [name, state] : through_host->states().all())
    EXPECT_TRUE(identical(*trainer->states().read(name), *through_host->states().read(name))) << name;

  const auto host_collectives = [](const Plan& plan) {
    return std::ranges::count_if(plan.steps, [&](const Step& step) {
      return step.kind == StepKind::kHost && plan.graph.nodes[static_cast<size_t>(step.node)].def->stateful;
    });
  };
  EXPECT_EQ(host_collectives(trainer->update_plan()), 0);
  EXPECT_GT(host_collectives(through_host->update_plan()), 0);
  EXPECT_THAT(trainer->capture_report(), ::testing::StartsWith("captured: "));
}

}  // namespace
}  // namespace tandem::test
