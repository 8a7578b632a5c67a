#include "runtime/exec/roofline.h"

#include <gmock/gmock.h>

#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using testing::constant;

constexpr std::string_view kTable =
    "# scripts/kernel_resources --update, nvcc 13.0\n"
    "kernel\tarch\tregisters\tshared\tstack\tspill_stores\tspill_loads\n"
    "softmax.cu: softmax_rows<float>\tsm_90\t32\t128\t0\t0\t0\n"
    "softmax.cu: softmax_rows<double>\tsm_90\t64\t256\t0\t0\t0\n"
    "softmax.cu: softmax_rows<float>\tsm_80\t128\t0\t0\t0\t0\n";

TEST(ResourceTable, FindsKernelsOfItsArchitecture) {
  const ResourceTable table(kTable, "sm_90");
  ASSERT_NE(table.find("softmax_rows<float>"), nullptr);
  EXPECT_EQ(table.find("softmax_rows<float>")->registers, 32);
  EXPECT_EQ(table.find("softmax_rows<float>")->shared, 128);
  EXPECT_EQ(table.find("softmax_rows<__half>")->registers, 64);  // spelled otherwise: the largest of its kind
  EXPECT_EQ(table.find("softmax"), nullptr);
  EXPECT_TRUE(ResourceTable(kTable, "sm_100").empty());
  EXPECT_TRUE(ResourceTable("", "sm_90").empty());
  EXPECT_THROW(ResourceTable("softmax.cu: softmax_rows<float>\tsm_90\n", "sm_90"), Error);
  EXPECT_THROW(ResourceTable("k\tsm_90\tmany\t0\n", "sm_90"), Error);
}

TEST(ResourceTable, NamesOfNamespacesDoNotMatter) {
  EXPECT_EQ(short_kernel_name("map<{anonymous}::Add, tandem::cuda::Rows<2>, tandem::f16>"), "map<Add, Rows<2>, f16>");
  EXPECT_EQ(ResourceTable("a.cu: map<Add>\tsm_90\t17\t0\n", "sm_90").find("map<{anonymous}::Add>")->registers, 17);
}

TEST(ResourceTable, TheBuiltInOneIsOfTheFormRead) { EXPECT_NO_THROW(ResourceTable(built_in_resources(), "sm_90")); }

LaunchEstimate on_h200(int64_t blocks, int threads, int registers, int64_t fixed_shared, int64_t dynamic_shared) {
  const std::string table = "x.cu: k\tsm_90\t" + std::to_string(registers) + "\t" + std::to_string(fixed_shared) + "\n";
  return estimate(cuda::LaunchRecord{.kernel = "k", .blocks = blocks, .threads = threads, .shared = dynamic_shared},
                  ResourceTable(table, "sm_90"), find_device_spec("h200"));
}

// The cases of NVIDIA's occupancy calculator for compute capability 9.0: 64 warps, 32 blocks, 65536 registers, 228 KiB.
TEST(Roofline, OccupancyIsWhatLimitsItFirst) {
  EXPECT_DOUBLE_EQ(on_h200(1320, 256, 32, 0, 0).occupancy, 1.0);                // 8 blocks of 8 warps
  EXPECT_DOUBLE_EQ(on_h200(1320, 256, 33, 0, 0).occupancy, 48.0 / 64);          // 33 registers: 1280 a warp, 6 blocks
  EXPECT_DOUBLE_EQ(on_h200(1320, 256, 255, 0, 0).occupancy, 8.0 / 64);          // 1 block
  EXPECT_DOUBLE_EQ(on_h200(1320, 32, 16, 0, 0).occupancy, 32.0 / 64);           // 32 blocks of one warp
  EXPECT_DOUBLE_EQ(on_h200(1320, 256, 32, 0, 100 << 10).occupancy, 16.0 / 64);  // 2 blocks of 101 KiB
  EXPECT_DOUBLE_EQ(on_h200(1320, 256, 32, 1024, 226 << 10).occupancy, 8.0 / 64);
  EXPECT_DOUBLE_EQ(on_h200(1320, 256, 32, 2048, 226 << 10).occupancy, 0);  // more than a block may have
}

TEST(Roofline, CountsWavesAndMarksWhatIsBad) {
  const LaunchEstimate whole = on_h200(132 * 8 * 2, 256, 32, 0, 0);
  EXPECT_DOUBLE_EQ(whole.waves, 2);
  EXPECT_FALSE(whole.few_blocks || whole.low_occupancy || whole.assumed);
  EXPECT_TRUE(on_h200(131, 256, 32, 0, 0).few_blocks);
  EXPECT_TRUE(on_h200(132, 256, 255, 0, 0).low_occupancy);
  EXPECT_TRUE(estimate(cuda::LaunchRecord{.kernel = "other"}, ResourceTable(kTable, "sm_90"), find_device_spec("h200")).assumed);
}

TEST(Roofline, SaysNothingOfTheGridsOfLibraries) {
  const LaunchEstimate call =
      estimate(cuda::LaunchRecord{.kernel = "cublasLtMatmul"}, ResourceTable(kTable, "sm_90"), find_device_spec("h200"));
  EXPECT_TRUE(call.of_library);
  EXPECT_FALSE(call.few_blocks || call.low_occupancy || call.assumed);
}

TEST(Roofline, TimeIsTheLargerOfMovingAndComputing) {
  const DeviceSpec& h200 = find_device_spec("h200");
  StepCost cost;
  cost.dtype = DType::kF32;
  cost.bytes_read = 3'200'000'000;
  cost.bytes_written = 1'600'000'000;
  cost.flops = 4.8e9;
  StepEstimate got = estimate(cost, cuda::Math::kStrict, h200);
  EXPECT_NEAR(got.seconds, 1e-3, 1e-9);  // 4.8 GB at 4.8 TB/s
  EXPECT_DOUBLE_EQ(got.intensity, 1);
  EXPECT_TRUE(got.memory_bound);
  cost.flops = 67e12;
  got = estimate(cost, cuda::Math::kStrict, h200);
  EXPECT_NEAR(got.seconds, 1, 1e-9);
  EXPECT_FALSE(got.memory_bound);
  EXPECT_NEAR(estimate(cost, cuda::Math::kFast, h200).seconds, 1, 1e-9);  // no product: no tensor cores
  cost.is_product = true;
  EXPECT_NEAR(estimate(cost, cuda::Math::kFast, h200).seconds, 67.0 / 494.5, 1e-9);
  cost.dtype = DType::kBF16;
  EXPECT_NEAR(estimate(cost, cuda::Math::kStrict, h200).seconds, 67.0 / 989, 1e-9);
}

TEST(Roofline, KnowsItsGpus) {
  for (const DeviceSpec& spec : device_specs()) {
    EXPECT_EQ(&find_device_spec(spec.name), &spec);
    EXPECT_LT(spec.f32, spec.tf32 * 1.0001);
    EXPECT_LT(spec.tf32, spec.half);
    EXPECT_LT(spec.block_shared_bytes, spec.shared_bytes);
  }
  EXPECT_THROW(find_device_spec("h2000"), Error);
}

Graph network() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 8});
  const ValueId w = constant(graph, "w", {8, 4}, std::vector<float>(32, 1));
  graph.outputs = {add(graph, "Softmax", {add(graph, "MatMul", {x, w})}, {{"axis", int64_t{1}}})};
  return graph;
}

#if TANDEM_HAS_CUDA
TEST(DryRun, ListsTheStepsOfTheGpuWithTheirBytesAndWork) {
  const auto plan = make_plan(network(), {.default_bound = 16, .target = Space::kDevice});
  const std::vector<StepCost> costs = dry_run(*plan, cuda::Math::kStrict);
  ASSERT_EQ(costs.size(), 2u);
  EXPECT_EQ(costs[0].op, "MatMul");
  EXPECT_TRUE(costs[0].is_product);
  EXPECT_EQ(costs[0].bytes_read, 4 * (16 * 8 + 8 * 4));
  EXPECT_EQ(costs[0].bytes_written, 4 * 16 * 4);
  EXPECT_DOUBLE_EQ(costs[0].flops, 2 * 16 * 8 * 4);
  EXPECT_GE(costs[0].launches.size(), 1u);
  EXPECT_EQ(costs[1].op, "Softmax");
  ASSERT_EQ(costs[1].launches.size(), 1u);
  EXPECT_EQ(costs[1].launches[0].kernel, "softmax_rows<float>");
  EXPECT_FALSE(costs[1].is_product);
}

// A kernel that reads a shape on the host finds the right one.
TEST(DryRun, WorksOutShapes) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 6});
  const ValueId shape = add(graph, "Shape", {x});
  const ValueId one = graph.add_constant("one", Tensor::of<float>({1}, {1.0f}));
  graph.outputs = {add(graph, "Add", {add(graph, "Expand", {one, shape}), x})};
  const auto plan = make_plan(graph, {.default_bound = 5, .target = Space::kDevice});
  for (const StepCost& cost : dry_run(*plan, cuda::Math::kStrict))
    if (cost.op == "Expand") {
      EXPECT_EQ(cost.bytes_written, 4 * 5 * 6);
    }
}
#else
TEST(DryRun, NeedsABuildWithCuda) {
  EXPECT_THROW(dry_run(*make_plan(network(), {.target = Space::kDevice}), cuda::Math::kStrict), Error);
}
#endif

TEST(DryRun, IsOfPlansForAGpu) { EXPECT_THROW(dry_run(*make_plan(network(), {}), cuda::Math::kStrict), Error); }

}  // namespace
}  // namespace tandem
