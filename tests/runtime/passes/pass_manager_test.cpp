#include "runtime/passes/pass_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A small residual network as an exporter writes it: something for every pass.
Graph network() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 8, 8});
  ValueId v = add(graph, "Identity", {x});
  for (unsigned block = 0; block < 2; ++block) {
    const ValueId w = graph.add_constant("w", random_tensor({3, 3, 3, 3}, block));
    const ValueId y = add(graph, "Conv", {v, w}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
    const ValueId ones = constant(graph, "ones", {3}, {1, 1, 1}), zeros = constant(graph, "zeros", {3}, {0, 0, 0});
    const ValueId mean = graph.add_constant("mean", random_tensor({3}, 5 + block));
    const ValueId norm = add(graph, "BatchNormalization", {y, ones, zeros, mean, ones});
    v = add(graph, "Relu", {add(graph, "Add", {norm, v})});
  }
  const ValueId flat = add(graph, "Flatten", {add(graph, "Dropout", {v})});
  const ValueId w = graph.add_constant("fc", random_tensor({10, 3 * 8 * 8}, 9));
  const ValueId logits = add(graph, "Gemm", {flat, add(graph, "Transpose", {w})});
  graph.outputs = {add(graph, "Softmax", {logits})};
  return graph;
}

TEST(PassManager, AllPassesTogetherKeepTheResult) {
  const Graph before = network();
  Graph after = before;
  const auto reports = run_passes(after, {.disabled = {}, .verify_each = true});
  EXPECT_LE(after.nodes.size(), 5u) << to_text(after);
  const std::vector<Tensor> inputs = random_inputs(before);
  const Tensor expected = run_graph(before, inputs)[0], actual = run_graph(after, inputs)[0];
  for (size_t i = 0; i < 30; ++i) EXPECT_NEAR(actual.as<float>()[i], expected.as<float>()[i], 1e-5);
  ASSERT_EQ(reports.size(), default_passes().size());
  for (size_t i = 1; i < reports.size(); ++i) EXPECT_EQ(reports[i].nodes_before, reports[i - 1].nodes_after);
  EXPECT_THAT(to_text(reports), AllOf(HasSubstr("epilogue_fusion"), HasSubstr("constant_folding")));
}

TEST(PassManager, EachPassCanBeLeftOut) {
  for (const Pass* pass : default_passes()) {
    Graph graph = network();
    for (const PassReport& report : run_passes(graph, {.disabled = {std::string(pass->name)}, .verify_each = true}))
      EXPECT_NE(report.name, pass->name);
    const std::vector<Tensor> inputs = random_inputs(graph);
    const Tensor expected = run_graph(network(), inputs)[0], actual = run_graph(graph, inputs)[0];
    for (size_t i = 0; i < 30; ++i) EXPECT_NEAR(actual.as<float>()[i], expected.as<float>()[i], 1e-5);
  }
}

TEST(PassManager, ASecondRunFindsNothing) {
  Graph graph = network();
  run_passes(graph);
  const std::string once = to_text(graph);
  run_passes(graph);
  EXPECT_EQ(to_text(graph), once);
}

TEST(PassManager, RefusesUnknownNames) {
  Graph graph;
  try {
    run_passes(graph, {.disabled = {"dead_cod"}, .verify_each = false});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'dead_code'"));
  }
}

TEST(PassManager, NamesThePassThatBreaksAGraph) {
  const Pass vandal = {"vandal", "forgets the nodes", [](Graph& graph, PassNotes&) { return graph.nodes.clear(), 1; }};
  const Pass* const passes[] = {&vandal};
  Graph graph = network();
  try {
    run_passes(graph, {.disabled = {}, .verify_each = true}, passes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_THAT(error.what(), HasSubstr("vandal"));
  }
}

}  // namespace
}  // namespace tandem
