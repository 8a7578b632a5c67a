// Attention whose heads or windows are parted from the batch on the way, and masks in the spellings of single model families.
#include <gtest/gtest.h>

#include "tests/runtime/passes/attention_spelling.h"

namespace tandem {
namespace {

using namespace testing;

// [batch, 4, 6, 8] and so on, but products of three axes: [4 * batch, 6, 8].
struct JoinedHeads : Spelling {
  JoinedHeads(Dim batch = "batch") {
    graph = {};
    q = input("q", {batch, 4, 6, 8}), k = input("k", {batch, 4, 7, 8}), v = input("v", {batch, 4, 7, 5});
    k_transpose = {0, 2, 1};
    on_q = on_k = [](ValueId id) { return id; };
    joined_q = [this](ValueId x) { return reshaped(x, {-1, 6, 8}); };
    on_q = [this](ValueId x) { return joined_q(x); };
    on_v = [this](ValueId x) { return reshaped(x, {-1, 7, 5}); };
    on_weights = [this](ValueId p) { return reshaped(p, {-1, 6, 7}); };
    on_result = [this](ValueId y) { return reshaped(y, {-1, 4, 6, 5}); };
  }
  JoinedHeads(const JoinedHeads&) = delete;
  void join_keys() { k = reshaped(k, {-1, 7, 8}); }
  ValueId parted(ValueId s) { return reshaped(s, {-1, 4, 6, 7}); }
  Step joined_q;
};

TEST(AttentionGroups, HeadsThatWereJoinedWithTheBatch) {
  JoinedHeads a;
  a.join_keys();
  const ValueId alibi = a.input("alibi", {"batch", 4, 7}), mask = a.input("mask", {"batch", 1, 6, 7});
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {a.parted(add(a.graph, "Add", {s, a.reshaped(alibi, {-1, 1, 7})})), mask}); };
  a.expect_fused(3);  // the mask is parted too
  EXPECT_EQ(a.graph.nodes.back().inputs[0], a.q);
  const auto& dims = *a.graph.value(a.graph.nodes.back().inputs[3]).type.dims;
  EXPECT_EQ(dims, (Dims{"batch", 4, 1, 7}));
}

// A scalar that becomes a row has no heads to be parted.
TEST(AttentionGroups, AReshapedScalarIsNoScore) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, Dims{}), v = graph.add_input("v", DType::kF32, {1, 5});
  const ValueId row = add(graph, "Reshape", {x, graph.add_constant("one", Tensor::of<int64_t>({1}, std::vector<int64_t>{1}))});
  graph.outputs = {add(graph, "MatMul", {add(graph, "Softmax", {row}), v})};
  EXPECT_NO_THROW(run_passes(graph));
}

TEST(AttentionGroups, SoftmaxOnEitherSideOfTheReshape) {
  JoinedHeads a;
  a.join_keys();
  const ValueId mask = a.input("mask", {"batch", 1, 1, 7});
  a.on_masked = [&](ValueId s) { return a.reshaped(add(a.graph, "Add", {a.parted(s), mask}), {-1, 6, 7}); };
  a.on_weights = Spelling::same;
  a.expect_fused();
}

// Rows whose number is open: neither Reshape could say both sizes by itself.
TEST(AttentionGroups, AMaskOfOpenSizesIsPartedByTheSizesOfQ) {
  Spelling a;
  a.graph = {};
  a.q = a.input("q", {"batch", 4, "rows", 8}), a.k = a.input("k", {"batch", 4, "rows", 8}), a.v = a.input("v", {"batch", 4, "rows", 5});
  const ValueId bias = a.input("bias", {Dim("4*batch"), "rows", "rows"}), mask = a.input("mask", {"rows"});
  const auto size = [&](int64_t axis) { return add(a.graph, "Gather", {add(a.graph, "Shape", {a.q}), a.list({axis})}); };
  const auto shape = [&](std::vector<ValueId> parts) { return add(a.graph, "Concat", std::move(parts), {{"axis", int64_t{0}}}); };
  const ValueId batch = size(0), rows = size(2), both = add(a.graph, "Mul", {batch, a.list({4})});
  const auto joined = [&](ValueId x, ValueId last) { return add(a.graph, "Reshape", {x, shape({both, rows, last})}); };
  a.on_q = [&](ValueId x) { return joined(x, a.list({8})); };
  a.k = joined(a.k, a.list({8}));
  a.k_transpose = {0, 2, 1};
  a.on_v = [&](ValueId x) { return joined(x, a.list({5})); };
  a.on_masked = [&](ValueId s) {
    const ValueId biased = add(a.graph, "Add", {s, bias});
    return add(a.graph, "Add", {add(a.graph, "Reshape", {biased, shape({batch, a.list({4}), rows, rows})}), mask});
  };
  a.on_weights = [&](ValueId p) { return joined(p, rows); };
  a.on_result = [&](ValueId y) { return add(a.graph, "Reshape", {y, shape({batch, a.list({4}), rows, a.list({5})})}); };
  a.build();
  size_sharing_pass.apply(a.graph);  // tells the Reshapes what their shapes hold
  std::vector<Tensor> inputs = random_inputs(a.graph);
  inputs[3] = random_tensor({12, 3, 3}, 5);
  const Tensor before = run_graph(a.graph, inputs)[0];
  EXPECT_EQ(attention_fusion_pass.apply(a.graph), 1);
  verify(a.graph);
  const Tensor after = run_graph(a.graph, inputs)[0];
  ASSERT_EQ(before.shape(), after.shape());
  for (size_t i = 0; i < before.as<float>().size(); ++i) EXPECT_NEAR(before.as<float>()[i], after.as<float>()[i], kTolerance) << i;
}

TEST(AttentionGroups, AJoinedOperandThatOthersReadStaysForThem) {
  JoinedHeads a;
  a.join_keys();
  const ValueId mask = a.input("mask", {1, 7});
  a.joined_q = [&](ValueId x) {
    const ValueId q = a.reshaped(x, {-1, 6, 8});
    a.graph.outputs.push_back(q);
    return q;
  };
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {a.parted(s), mask}); };
  a.expect_fused(2);
}

TEST(AttentionGroups, NoBatchAtAll) {
  JoinedHeads a{Dim(int64_t{0})};
  a.k = add(a.graph, "Reshape", {a.k, a.list({0, 7, 8})}, {{"allowzero", int64_t{1}}});
  a.on_q = [&](ValueId x) { return add(a.graph, "Reshape", {x, a.list({0, 6, 8})}, {{"allowzero", int64_t{1}}}); };
  a.on_v = [&](ValueId x) { return add(a.graph, "Reshape", {x, a.list({0, 7, 5})}, {{"allowzero", int64_t{1}}}); };
  a.on_masked = [&](ValueId s) { return add(a.graph, "Reshape", {s, a.list({0, 4, 6, 7})}, {{"allowzero", int64_t{1}}}); };
  a.on_weights = [&](ValueId s) { return add(a.graph, "Reshape", {s, a.list({0, 6, 7})}, {{"allowzero", int64_t{1}}}); };
  a.on_result = [&](ValueId s) { return add(a.graph, "Reshape", {s, a.list({0, 4, 6, 5})}, {{"allowzero", int64_t{1}}}); };
  a.expect_fused();
}

TEST(AttentionGroups, HeadsThatAreNotPartedAgainStop) {
  JoinedHeads a;
  a.join_keys();
  a.on_masked = [&](ValueId s) { return a.parted(s); };
  a.on_result = Spelling::same;
  a.expect_near_miss("stay joined");
}

TEST(AttentionGroups, OtherHeadsForTheMaskThanForTheProductsStop) {
  JoinedHeads a;
  a.join_keys();
  const ValueId mask = a.input("mask", {2, 1, 7});
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {a.reshaped(s, {-1, 2, 6, 7}), mask}); };
  a.expect_near_miss("not parted from the batch");
}

// Scores of [2 * batch, 3, 4, 5]: two windows an image.
struct Windows : Spelling {
  explicit Windows(Dim batch = "batch") {
    graph = {};
    const auto tensor = [&](const char* name, int64_t rows, int64_t size) {
      return reshaped(input(name, {batch, 2 * 3 * rows * size}), {-1, 3, rows, size});
    };
    q = tensor("q", 4, 8), k = tensor("k", 5, 8), v = tensor("v", 5, 6);
  }
  ValueId masked(ValueId scores, ValueId mask) {
    return reshaped(add(graph, "Add", {reshaped(scores, {-1, 2, 3, 4, 5}), mask}), {-1, 3, 4, 5});
  }
};

TEST(AttentionGroups, MasksOfWindowsBeginAgain) {
  const Dims shapes[] = {{1, 2, 1, 4, 5}, {2, 1, 4, 5}, {2, 3, 1, 5}, {1, 1, 1, 4, 5}, {4, 5}};
  for (const Dims& dims : shapes) {
    Windows a;
    const ValueId bias = a.input("bias", {1, 3, 4, 5}), mask = a.input("mask", dims);
    a.on_masked = [&](ValueId s) { return a.masked(add(a.graph, "Add", {s, bias}), mask); };
    a.expect_fused(4 + (dims.size() == 5));
  }
}

TEST(AttentionGroups, AMaskForEachWindowOfTheBatch) {
  Windows a;
  const ValueId bias = a.reshaped(a.input("bias", {"batch", 120}), {-1, 3, 4, 5}), mask = a.input("mask", {2, 1, 4, 5});
  a.on_masked = [&](ValueId s) { return a.masked(add(a.graph, "Add", {s, bias}), mask); };
  a.expect_fused(5);
}

TEST(AttentionGroups, AMaskOfWindowsThatHasABatchStops) {
  Windows a;
  const ValueId mask = a.input("mask", {"batch", 2, 1, 4, 5});
  a.on_masked = [&](ValueId s) { return a.masked(s, mask); };
  a.expect_near_miss("has a batch");
}

TEST(AttentionGroups, AScaleForEachHead) {
  Spelling a;
  const ValueId scales = constant(a.graph, "scales", {4, 1, 1}, {1, 0.5f, 2, -1}), mask = a.input("mask", {"keys"});
  a.on_scores = [&](ValueId s) { return add(a.graph, "Mul", {s, scales}); };
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {s, mask}); };
  a.expect_fused(2);
  Spelling rows;  // not one number a head
  const ValueId wrong = constant(rows.graph, "scales", {4, 2, 1}, {1, 2, 3, 4, 5, 6, 7, 8});
  rows.q = rows.graph.add_input("q2", DType::kF32, {"batch", 4, 2, 8});
  rows.on_scores = [&](ValueId s) { return add(rows.graph, "Mul", {s, wrong}); };
  rows.build();
  EXPECT_EQ(attention_fusion_pass.apply(rows.graph), 0);
}

// 16 bits until behind the first product.
TEST(AttentionGroups, AScaleForEachHeadOfAnotherTypeStops) {
  Spelling a;
  const auto cast = [&](ValueId x, DType to) { return add(a.graph, "Cast", {x}, {{"to", static_cast<int64_t>(to)}}); };
  a.q = cast(a.q, DType::kF16), a.k = cast(a.k, DType::kF16), a.v = cast(a.v, DType::kF16);
  const ValueId scales = constant(a.graph, "scales", {4, 1, 1}, {1, 0.5f, 2, -1});
  a.on_scores = [&](ValueId s) { return add(a.graph, "Mul", {cast(s, DType::kF32), scales}); };
  a.on_weights = [&](ValueId p) { return cast(p, DType::kF16); };
  a.expect_near_miss("of another type");
}

TEST(AttentionGroups, AScaleBehindABoolMaskScalesWhatItHides) {
  for (const float factor : {0.5f, 4.0f}) {
    Spelling a;
    const ValueId seen = add(a.graph, "Greater", {a.input("mask", {"batch", 1, "rows", "keys"}), a.number(0)});
    a.on_masked = [&](ValueId s) { return a.times(add(a.graph, "Where", {seen, s, a.number(-3)}), factor); };
    if (factor > 1) {
      a.expect_near_miss("behind a mask");
      continue;
    }
    a.expect_fused(2);
    EXPECT_EQ(std::get<float>(a.graph.nodes.back().attributes.at("hidden")), -1.5f);
  }
}

TEST(AttentionGroups, OfTwoBoolMasksTheAddedOneStaysAsItIs) {
  Spelling a;
  const ValueId numbers = a.input("mask", {"batch", 1, "rows", "keys"}), seen = add(a.graph, "Greater", {numbers, a.number(0)});
  const ValueId other = add(a.graph, "Where", {add(a.graph, "Less", {numbers, a.number(0.5f)}), a.number(0), a.number(-3.4e38f)});
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {add(a.graph, "Where", {seen, s, a.number(-3.4e38f)}), other}); };
  a.build();
  const std::vector<Tensor> inputs = random_inputs(a.graph);
  const Tensor before = run_graph(a.graph, inputs)[0];
  EXPECT_EQ(attention_fusion_pass.apply(a.graph), 1);
  EXPECT_EQ(a.graph.nodes.back().inputs[4], other);
  const Tensor after = run_graph(a.graph, inputs)[0];
  for (size_t i = 0; i < before.as<float>().size(); ++i) {
    const float want = before.as<float>()[i], got = after.as<float>()[i];
    EXPECT_TRUE((std::isnan(want) && std::isnan(got)) || std::abs(want - got) < kTolerance) << i << ' ' << want << ' ' << got;
  }
}

TEST(AttentionGroups, ABoundBelowAllScores) {
  for (const bool is_bool : {true, false}) {
    Spelling a;
    const ValueId mask = a.input("mask", {"batch", 1, "rows", "keys"}), seen = add(a.graph, "Greater", {mask, a.number(0)});
    const ValueId added = add(a.graph, "Where", {seen, a.number(0), a.number(-kInfinity)});
    a.on_masked = [&](ValueId s) {
      return add(a.graph, "Max", {add(a.graph, "Add", {s, is_bool ? added : mask}), a.number(std::numeric_limits<float>::lowest())});
    };
    if (is_bool) a.expect_fused(3);
    else a.expect_near_miss("before a bound");
  }
}

TEST(AttentionGroups, AShapeThatOthersReadStays) {
  Spelling a;
  a.graph = {};
  a.q = a.input("q", {"batch", 6, "rows", 8}), a.k = a.input("k", {"batch", 2, "keys", 8}), a.v = a.input("v", {"batch", 2, "keys", 8});
  const ValueId sizes = add(a.graph, "Shape", {a.k}), keys = add(a.graph, "Gather", {sizes, a.list({2})});
  const ValueId batch = add(a.graph, "Gather", {sizes, a.list({0})});
  const ValueId shape = add(a.graph, "Concat", {batch, a.list({6}), keys, a.list({8})}, {{"axis", int64_t{0}}});
  const auto repeated = [&](ValueId x) {
    const ValueId single = add(a.graph, "Unsqueeze", {x, a.list({2})}), wide = add(a.graph, "Expand", {single, a.list({1, 1, 3, 1, 1})});
    return add(a.graph, "Reshape", {wide, shape});
  };
  a.k = repeated(a.k);
  a.on_v = repeated;
  a.graph.outputs.push_back(shape);
  a.build();
  size_sharing_pass.apply(a.graph);  // tells the Reshapes what the shape holds
  EXPECT_EQ(apply_and_compare(attention_fusion_pass, a.graph, kTolerance), 1);
  EXPECT_EQ(a.graph.nodes.size(), 5u) << to_text(a.graph);
  EXPECT_EQ(a.graph.value(a.graph.nodes.back().inputs[1]).name, "k");
}

TEST(AttentionGroups, AMaskExpandedToTheScores) {
  Spelling a;
  const ValueId seen = add(a.graph, "Greater", {a.input("mask", {"batch", 1, 1, "keys"}), a.number(-2)});
  a.on_masked = [&](ValueId s) {
    return add(a.graph, "Where", {add(a.graph, "Expand", {seen, add(a.graph, "Shape", {s})}), s, a.number(-kInfinity)});
  };
  a.expect_fused(2);
  EXPECT_EQ(a.graph.nodes.back().inputs[3], seen);
}

}  // namespace
}  // namespace tandem
