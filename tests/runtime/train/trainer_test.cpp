// The training step as a whole: against plain SGD by hand, over micro-batches, over ranks, over threads, over a checkpoint.
#include "runtime/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <set>
#include <thread>

#include "kernels/api/bf16_gemm.h"
#include "kernels/api/conv_winograd_planes.h"
#include "kernels/api/rounded_conv.h"
#include "kernels/base/philox.h"
#include "runtime/comm/communicator.h"
#include "runtime/train/checkpoint.h"
#include "runtime/train/imported_network.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using testing::constant;

Tensor noise(const Shape& shape, uint64_t key) {
  Tensor tensor(DType::kF32, shape);
  const auto values = tensor.as<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = unit_float(philox(key, i, 0)[0]) - 0.5f;
  return tensor;
}

// x [batch, 8] -> 16 -> dropout? -> 3 scores.
Network network(float dropout = 0) {
  Network net;
  Graph& graph = net.graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 8});
  const auto layer = [&](ValueId in, int64_t width, int64_t out, const std::string& name) {
    const ValueId w = graph.add_constant(name + ".w", noise({out, width}, out * 7)),
                  b = graph.add_constant(name + ".b", noise({out}, out));
    net.parameters.insert(net.parameters.end(), {name + ".w", name + ".b"});
    return add(graph, "Gemm", {in, w, b}, {{"transB", int64_t{1}}});
  };
  ValueId h = add(graph, "Relu", {layer(x, 8, 16, "fc1")});
  if (dropout > 0) h = add(graph, "Dropout", {h, graph.add_constant("ratio", Tensor::scalar<float>(dropout))});
  const ValueId scores = layer(h, 16, 3, "fc2");
  net.scores = graph.value(scores).name;
  graph.outputs = {add(graph, "Softmax", {scores}, {{"axis", int64_t{-1}}})};
  return net;
}

// The same rows as images [2, 2, 2] -> convolution to 24 channels -> 3 scores.
Network convolution() {
  Network net;
  Graph& graph = net.graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 8}), shape = graph.add_constant("shape", Tensor::of<int64_t>({4}, {-1, 2, 2, 2})),
                filters = graph.add_constant("filters", noise({24, 2, 3, 3}, 3)), w = graph.add_constant("w", noise({3, 96}, 4));
  net.parameters = {"filters", "w"};
  const ValueId h = add(graph, "Conv", {add(graph, "Reshape", {x, shape}), filters}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const ValueId scores = add(graph, "Gemm", {add(graph, "Flatten", {add(graph, "Relu", {h})}), w}, {{"transB", int64_t{1}}});
  net.scores = graph.value(scores).name;
  graph.outputs = {add(graph, "Softmax", {scores}, {{"axis", int64_t{-1}}})};
  return net;
}

// The same rows as images [1, 2, 4] -> two convolutions to [48, 6, 8] -> 3 scores.
Network two_convolutions() {
  Network net;
  Graph& graph = net.graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 8}), shape = graph.add_constant("shape", Tensor::of<int64_t>({4}, {-1, 1, 2, 4}));
  ValueId h = add(graph, "Reshape", {x, shape});
  for (const int64_t channels : {1, 48}) {
    net.parameters.push_back("filters " + std::to_string(channels));
    const ValueId filters = graph.add_constant(net.parameters.back(), noise({48, channels, 3, 3}, static_cast<uint64_t>(channels)));
    h = add(graph, "Relu", {add(graph, "Conv", {h, filters}, {{"pads", std::vector<int64_t>(4, channels == 1 ? 3 : 1)}})});
  }
  net.parameters.push_back("w");
  const ValueId w = graph.add_constant("w", noise({3, 2304}, 4));
  const ValueId scores = add(graph, "Gemm", {add(graph, "Flatten", {h}), w}, {{"transB", int64_t{1}}});
  net.scores = graph.value(scores).name;
  graph.outputs = {add(graph, "Softmax", {scores}, {{"axis", int64_t{-1}}})};
  return net;
}

// The same rows as sequences [4, 2] -> attention between projections to 16 -> 3 scores.
Network attention() {
  Network net;
  Graph& graph = net.graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 8}), shape = graph.add_constant("shape", Tensor::of<int64_t>({3}, {-1, 4, 2}));
  const ValueId rows = add(graph, "Reshape", {x, shape});
  const auto weights = [&](const std::string& name, const Shape& of, uint64_t key) {
    net.parameters.push_back(name);
    return graph.add_constant(name, noise(of, key));
  };
  const ValueId q = add(graph, "MatMul", {rows, weights("q", {2, 16}, 3)}), k = add(graph, "MatMul", {rows, weights("k", {2, 16}, 4)}),
                v = add(graph, "MatMul", {rows, weights("v", {2, 16}, 5)});
  const ValueId turned = add(graph, "Transpose", {k}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  const ValueId shares = add(graph, "Softmax", {add(graph, "MatMul", {q, turned})}, {{"axis", int64_t{-1}}});
  const ValueId h = add(graph, "Flatten", {add(graph, "MatMul", {shares, v})});
  const ValueId scores = add(graph, "Gemm", {h, weights("w", {3, 64}, 6)}, {{"transB", int64_t{1}}});
  net.scores = graph.value(scores).name;
  graph.outputs = {add(graph, "Softmax", {scores}, {{"axis", int64_t{-1}}})};
  return net;
}

// Micro-batch number m, a function of m alone.
const Feed& feed_of(int64_t m, int64_t rows) {
  thread_local Feed batch;
  batch["x"] = noise({rows, 8}, 1000 + static_cast<uint64_t>(m));
  Tensor label(DType::kI64, {rows});
  for (size_t i = 0; i < static_cast<size_t>(rows); ++i)
    label.as<int64_t>()[i] = static_cast<int64_t>(philox(5, static_cast<uint64_t>(m) * 8 + i, 0)[0] % 3);
  batch["target"] = label;
  return batch;
}
const Feed& feed(int64_t m) { return feed_of(m, 8); }

StepConfig adamw(int world = 1, int accumulate = 1) {
  StepConfig config;
  config.optimizer = {.kind = OptimizerKind::kAdamW, .weight_decay = 0.01f, .clip_norm = 0.5f};
  config.schedule = {.kind = ScheduleKind::kCosine, .learning_rate = 0.01f, .warmup_steps = 2, .total_steps = 20};
  config.world_size = world;
  config.accumulate = accumulate;
  config.bucket_bytes = 256;  // several buckets
  return config;
}

void expect_same_states(StateStore& a, StateStore& b) {
  for (auto& [name, tensor] : a.all()) {
    if (name.starts_with("gradients.")) continue;  // scratch of accumulation
    ASSERT_NE(b.find(name), nullptr) << name;
    EXPECT_TRUE(identical(tensor, *b.find(name))) << name;
  }
}

TEST(Trainer, PlainSgdIsWeightsMinusRateTimesGradient) {
  StepConfig config;
  config.optimizer = {.kind = OptimizerKind::kSgd, .momentum = 0};
  config.schedule = {.learning_rate = 0.1f};
  Trainer trainer(network(), config, {.micro_batch = 8});
  const Tensor before = trainer.states().find("parameters.0")->clone();
  const double loss = trainer.step(feed).loss;
  // The loss falls along the gradient: compare with a step of half the rate from the same start.
  config.schedule.learning_rate = 0.05f;
  Trainer half(network(), config, {.micro_batch = 8});
  EXPECT_EQ(half.step(feed).loss, loss);
  const auto w0 = before.as<float>(), w1 = std::as_const(*trainer.states().find("parameters.0")).as<float>(),
             wh = std::as_const(*half.states().find("parameters.0")).as<float>();
  double moved = 0;
  for (size_t i = 0; i < w0.size(); ++i) {
    EXPECT_NEAR(w1[i] - w0[i], 2 * (wh[i] - w0[i]), 1e-6);
    moved += std::abs(w1[i] - w0[i]);
  }
  EXPECT_GT(moved, 0);
}

TEST(Trainer, LearnsASeparableProblem) {
  StepConfig config = adamw();
  config.schedule = {.learning_rate = 0.02f};
  Trainer trainer(network(), config, {.micro_batch = 8});
  const auto same_batch = [](int64_t) -> const Feed& { return feed(0); };
  const double first = trainer.step(same_batch).loss;
  double last = first;
  for (int i = 0; i < 300; ++i) last = trainer.step(same_batch).loss;
  EXPECT_LT(last, 0.1 * first);
}

TEST(Trainer, TwoRanksGiveTheBitsOfOneProcessThatAccumulates) {
  for (float dropout : {0.0f, 0.3f}) {
    Trainer alone(network(dropout), adamw(1, 2), {.micro_batch = 8});
    for (int i = 0; i < 10; ++i) alone.step(feed);
    auto ranks = make_thread_group(2);
    std::vector<std::unique_ptr<Trainer>> trainers(2);
    std::vector<std::thread> threads;
    for (size_t r = 0; r < 2; ++r)
      threads.emplace_back([&, r] {
        trainers[r] = std::make_unique<Trainer>(network(dropout), adamw(2, 1),
                                                Trainer::Options{.micro_batch = 8, .communicator = ranks[r].get()});
        for (int i = 0; i < 10; ++i) trainers[r]->step(feed);
      });
    for (std::thread& thread : threads) thread.join();
    expect_same_states(trainers[0]->states(), alone.states());
    expect_same_states(trainers[1]->states(), alone.states());
  }
}

TEST(Trainer, FourMicroBatchesUseFirstMiddleAndLastGraphs) {
  Trainer four(network(), adamw(1, 4), {.micro_batch = 8});
  for (int i = 0; i < 3; ++i) four.step(feed);
  auto ranks = make_thread_group(2);
  std::vector<std::unique_ptr<Trainer>> trainers(2);
  std::vector<std::thread> threads;
  for (size_t r = 0; r < 2; ++r)
    threads.emplace_back([&, r] {
      trainers[r] =
          std::make_unique<Trainer>(network(), adamw(2, 2), Trainer::Options{.micro_batch = 8, .communicator = ranks[r].get()});
      for (int i = 0; i < 3; ++i) trainers[r]->step(feed);
    });
  for (std::thread& thread : threads) thread.join();
  // (g0 + g1) + (g2 + g3) against ((g0 + g1) + g2) + g3: equal up to rounding.
  const auto a = std::as_const(*four.states().find("parameters.0")).as<float>(),
             b = std::as_const(*trainers[0]->states().find("parameters.0")).as<float>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);
}

TEST(Trainer, TheNumberOfThreadsDoesNotChangeTheBits) {
  Trainer one(network(), adamw(), {.micro_batch = 8, .threads = 1}), three(network(), adamw(), {.micro_batch = 8, .threads = 3});
  for (int i = 0; i < 5; ++i) {
    one.step(feed);
    three.step(feed);
  }
  expect_same_states(one.states(), three.states());
}

// Products, convolutions and attention round what they read to bf16 where the processor multiplies that; weights, losses and all else stay f32.
TEST(Trainer, Bf16FollowsTheCurveOfF32OnACpu) {
  for (const Network& net : {network(), convolution(), attention()}) {
    const auto losses_of = [&](DType precision, int threads) {
      StepConfig config = adamw();
      config.precision = precision;
      Trainer trainer(net, config, {.micro_batch = 8, .threads = threads});
      for (const auto& [name, tensor] : trainer.states().all()) EXPECT_TRUE(tensor.dtype() == DType::kF32 || tensor.dtype() == DType::kI64) << name;
      std::vector<double> losses;
      for (int s = 0; s < 20; ++s) losses.push_back(trainer.step(feed).loss);
      return losses;
    };
    const auto wide = losses_of(DType::kF32, 1), narrow = losses_of(DType::kBF16, 1);
    for (size_t s = 0; s < wide.size(); ++s) EXPECT_NEAR(narrow[s], wide[s], 0.02 * wide[s]) << s;
    EXPECT_EQ(narrow != wide, cpu::multiplies_bf16());
    EXPECT_EQ(narrow, losses_of(DType::kBF16, 2));
  }
}

// Winograd's convolutions of the second layer, forward and both gradients.
TEST(Trainer, FastMathFollowsTheCurveOfStrictOnACpu) {
  const auto losses_of = [](bool fast, int threads) {
    Trainer trainer(two_convolutions(), adamw(), {.micro_batch = 8, .threads = threads, .fast_math = fast});
    const auto count = [&](std::string_view op) {
      return std::ranges::count_if(trainer.update_plan().graph.nodes, [&](const Node& node) { return node.def->name == op; });
    };
    for (const std::string_view op : {"WinogradPlanesConv", "WinogradPlanesGradInput", "WinogradPlanesGradWeight"}) EXPECT_EQ(count(op), fast) << op;
    std::vector<double> losses;
    for (int s = 0; s < 20; ++s) losses.push_back(trainer.step(feed).loss);
    return losses;
  };
  const auto strict = losses_of(false, 1), fast = losses_of(true, 1);
  for (size_t s = 0; s < strict.size(); ++s) EXPECT_NEAR(fast[s], strict[s], 1e-4 * strict[s]) << s;
  EXPECT_NE(fast, strict);
  EXPECT_EQ(fast, losses_of(true, 3));
}

// The same in bf16, where tiles are still faster than products of bf16, which all others are.
TEST(Trainer, FastMathFollowsTheCurveOfF32InBf16OnACpu) {
  constexpr int64_t kRows = 160;
  const auto many_rows = [](int64_t m) -> const Feed& { return feed_of(m, kRows); };
  const bool by_tiles = cpu::fastest_winograd_planes_tiles({kRows, 6, 8, 48, 48}, cpu::rounded_conv_price()).has_value();
  const auto losses_of = [&](DType precision, bool fast, int threads) {
    StepConfig config = adamw();
    config.precision = precision;
    Trainer trainer(two_convolutions(), config, {.micro_batch = kRows, .threads = threads, .fast_math = fast});
    const auto count = [&](std::string_view op) {
      return std::ranges::count_if(trainer.update_plan().graph.nodes, [&](const Node& node) { return node.def->name == op; });
    };
    EXPECT_EQ(count("WinogradPlanesConv"), fast && by_tiles);
    std::vector<double> losses;
    for (int s = 0; s < 20; ++s) losses.push_back(trainer.step(many_rows).loss);
    return losses;
  };
  const auto wide = losses_of(DType::kF32, false, 1), fast = losses_of(DType::kBF16, true, 1);
  for (size_t s = 0; s < wide.size(); ++s) EXPECT_NEAR(fast[s], wide[s], 0.02 * wide[s]) << s;
  EXPECT_NE(fast, wide);
  EXPECT_EQ(fast, losses_of(DType::kBF16, true, 3));
}

TEST(Trainer, GoesOnFromACheckpointWithTheSameBits) {
  const auto path = std::filesystem::path(::testing::TempDir()) / ("trainer_test." + std::to_string(getpid()) + ".ckpt");
  Trainer unbroken(network(0.2f), adamw(), {.micro_batch = 8});
  for (int i = 0; i < 4; ++i) unbroken.step(feed);
  save_checkpoint(path, unbroken.states(), {{"epoch", "3"}});
  for (int i = 0; i < 4; ++i) unbroken.step(feed);
  Trainer resumed(network(0.2f), adamw(), {.micro_batch = 8});
  EXPECT_EQ(load_checkpoint(path, resumed.states()).at("epoch"), "3");
  EXPECT_EQ(resumed.steps_done(), 4);
  for (int i = 0; i < 4; ++i) resumed.step(feed);
  expect_same_states(resumed.states(), unbroken.states());
}

TEST(Trainer, TheTrainedNetworkIsWhatTheEvaluatorRuns) {
  Trainer trainer(network(0.5f), adamw(), {.micro_batch = 8});
  for (int i = 0; i < 3; ++i) trainer.step(feed);
  Executor exported(make_plan(trainer.trained().graph, {}));
  const Tensor inside = Tensor::copy_of(run_feed(trainer.evaluator(), feed(9))[0]);
  const Tensor outside = Tensor::copy_of(run_feed(exported, feed(9))[0]);
  ASSERT_EQ(inside.elements(), outside.elements());
  EXPECT_TRUE(identical(inside, outside));
}

TEST(Trainer, RunningStatisticsOfBatchNormalizationAreStates) {
  Network net = network();
  Graph& graph = net.graph;
  graph = {};
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 8});
  const auto channel = [&](const std::string& name, float value) {
    Tensor tensor(DType::kF32, {8});
    std::ranges::fill(tensor.as<float>(), value);
    return graph.add_constant(name, tensor);
  };
  const ValueId normal =
      add(graph, "BatchNormalization", {x, channel("scale", 1), channel("bias", 0), channel("mean", 0), channel("variance", 1)}, {{"momentum", 0.75f}});
  const ValueId w = graph.add_constant("w", noise({3, 8}, 3));
  const ValueId scores = add(graph, "Gemm", {normal, w}, {{"transB", int64_t{1}}});
  net.parameters = {"scale", "bias", "w"};
  net.scores = graph.value(scores).name;
  graph.outputs = {add(graph, "Softmax", {scores}, {{"axis", int64_t{-1}}})};
  Trainer trainer(net, adamw(), {.micro_batch = 8});
  trainer.step(feed);
  // ONNX BatchNormalization-15: running = running * momentum + batch * (1 - momentum), population variance.
  const auto rows = feed(0).at("x").as<float>();
  const Network trained = trainer.trained();
  for (size_t c = 0; c < 8; ++c) {
    double mean = 0, variance = 0;
    for (size_t r = 0; r < 8; ++r) mean += rows[r * 8 + c] / 8.0;
    for (size_t r = 0; r < 8; ++r) variance += (rows[r * 8 + c] - mean) * (rows[r * 8 + c] - mean) / 8.0;
    EXPECT_NEAR(trained.graph.value(trained.graph.find("mean")).data.as<float>()[c], 0.25 * mean, 1e-6);
    EXPECT_NEAR(trained.graph.value(trained.graph.find("variance")).data.as<float>()[c], 0.75 + 0.25 * variance, 1e-6);
  }
}

TEST(Trainer, GradientsAreWrittenStraightIntoTheirBucket) {
  const StepGraphs graphs = build_step(network(), adamw());
  const auto plan = make_plan(graphs.update, {.default_bound = 8});
  for (const Node& node : plan->graph.nodes) {
    if (node.def->name != "Pack") continue;
    const BufferPlan& bucket = plan->buffers[static_cast<size_t>(node.outputs[0])];
    int64_t offset = bucket.offset;
    for (ValueId id : node.inputs) {
      EXPECT_EQ(plan->buffers[static_cast<size_t>(id)].offset, offset) << plan->graph.value(id).name;
      offset += plan->buffers[static_cast<size_t>(id)].bytes;
    }
  }
}

TEST(Trainer, CollectivesStartBeforeTheBackwardPassEnds) {
  const StepGraphs graphs = build_step(network(), adamw(2));
  std::vector<std::string_view> ops;
  for (const Node& node : graphs.update.nodes) ops.push_back(node.def->name);
  const auto first_start = std::ranges::find(ops, "AllReduceStart") - ops.begin();
  const auto last_pack = std::ranges::find(ops.rbegin(), ops.rend(), "Pack").base() - ops.begin();
  EXPECT_LT(first_start, last_pack);
}

// softmax(q k^T) v of projections of x.
Network attention_network() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 6, 4});
  const auto projected = [&](const std::string& name) {
    return add(graph, "MatMul", {x, constant(graph, name, {4, 4}, std::vector<float>(16, 0.5f))});
  };
  const ValueId k = add(graph, "Transpose", {projected("k")}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  const ValueId weights = add(graph, "Softmax", {add(graph, "MatMul", {projected("q"), k})}, {{"axis", int64_t{-1}}});
  graph.outputs = {add(graph, "MatMul", {weights, projected("v")})};
  return network_of(graph);
}

TEST(Trainer, AttentionKeepsNoMatrixOfQueriesByKeysOnACpu) {
  const auto ops = [](bool on_device) {
    StepConfig config = adamw();
    config.on_device = on_device;
    std::set<std::string_view> names;
    for (const Node& node : build_step(attention_network(), config).update.nodes) names.insert(node.def->name);
    return names;
  };
  EXPECT_THAT(ops(false), ::testing::IsSupersetOf({"FusedAttention", "FusedAttentionGrad"}));
  EXPECT_THAT(ops(false), ::testing::Not(::testing::Contains("SoftmaxGrad")));
  EXPECT_THAT(ops(true), ::testing::Contains("SoftmaxGrad"));
}

}  // namespace
}  // namespace tandem
