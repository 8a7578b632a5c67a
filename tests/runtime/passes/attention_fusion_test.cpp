#include <gtest/gtest.h>

#include "tests/runtime/passes/attention_spelling.h"

namespace tandem {
namespace {

using namespace testing;

TEST(AttentionFusion, TakesScaleMaskAndTransposesIn) {
  Spelling a;
  a.on_scores = [&](ValueId s) { return a.times(s, 0.25f); };
  const ValueId mask = a.input("mask", {"batch", 1, 1, "keys"});
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {s, mask}); };
  a.on_result = [&](ValueId y) { return a.turned(y, {0, 2, 1, 3}); };
  a.expect_fused();
  EXPECT_EQ(to_text(a.graph),
            "graph main {\n"
            "  input %q: f32[batch, 4, rows, 8]\n"
            "  input %k: f32[batch, 4, keys, 8]\n"
            "  input %v: f32[batch, 4, keys, 5]\n"
            "  input %mask: f32[batch, 1, 1, keys]\n"
            "  %Transpose.1: f32[batch, rows, 4, 5] = tandem.FusedAttention(%q, %k, %v, %mask) {scale=0.25, y_perm=[0, 2, 1, 3]}\n"
            "  return %Transpose.1\n"
            "}\n");
}

TEST(AttentionFusion, ScalesAnywhere) {
  for (const int where : {0, 1, 2, 3, 4}) {
    Spelling a;
    if (where <= 1) a.on_q = [&](ValueId x) { return a.times(x, 0.5f); };
    if (where == 1) a.on_k = [&](ValueId x) { return a.times(x, 0.5f); };
    if (where == 2) a.on_scores = [&](ValueId x) { return add(a.graph, "Div", {x, a.number(3)}); };
    if (where == 3) a.on_k = [&](ValueId x) { return add(a.graph, "Div", {x, a.number(2)}); };
    if (where == 4) a.on_scores = [&](ValueId x) { return a.times(a.times(x, 2), 0.125f); };
    a.expect_fused();
  }
}

TEST(AttentionFusion, TransposesOfAllThree) {
  Spelling a;
  a.graph = {};
  a.q = a.input("q", {"batch", "rows", 4, 8}), a.k = a.input("k", {"batch", "keys", 4, 8}), a.v = a.input("v", {"batch", "keys", 4, 5});
  const auto by_head = [&](ValueId x) { return a.turned(x, {0, 2, 1, 3}); };
  a.on_q = by_head, a.on_v = by_head;
  a.k_transpose = {0, 2, 3, 1};
  a.on_result = [&](ValueId y) { return a.turned(y, {2, 0, 1, 3}); };
  a.expect_fused();
  EXPECT_EQ(std::get<Ints>(a.graph.nodes[0].attributes.at("k_perm")), (Ints{0, 2, 1, 3}));
}

TEST(AttentionFusion, KeysStoredAsColumns) {
  Spelling a;
  a.graph = {};
  a.q = a.input("q", {"batch", "rows", 8}), a.k = a.input("k", {"batch", 8, "keys"}), a.v = a.input("v", {"batch", "keys", 5});
  a.k_transpose = {0, 1, 2};
  a.expect_fused();
  EXPECT_EQ(std::get<Ints>(a.graph.nodes[0].attributes.at("k_perm")), (Ints{0, 2, 1}));
}

TEST(AttentionFusion, MasksThatBroadcastOddly) {
  const Dims shapes[] = {{}, {1}, {"keys"}, {"rows", "keys"}, {"rows", 1}, {4, 1, 1}, {"batch", 1, "rows", 1}, {1, 4, "rows", "keys"}};
  for (const Dims& dims : shapes) {
    Spelling a;
    const ValueId mask = a.input("mask", dims), second = a.input("second", {1, 4, 1, "keys"});
    a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {second, add(a.graph, "Add", {mask, s})}); };
    a.expect_fused();
  }
}

TEST(AttentionFusion, SizesThatTheScoresTakeFromElsewhere) {
  const Dim none(int64_t{0});
  const auto check = [](Dims q, Dims k, Dims v, Dims mask) {
    Spelling a;
    a.graph = {};
    a.q = a.input("q", q), a.k = a.input("k", k), a.v = a.input("v", v);
    const ValueId m = a.input("mask", mask);
    a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {s, m}); };
    a.expect_fused();
  };
  check({1, 4, 6, 8}, {"batch", 4, 7, 8}, {"batch", 4, 7, 5}, {});  // learned queries
  check({2, 1, 6, 8}, {2, 4, 7, 8}, {2, 4, 7, 5}, {});  // one query head, several of keys
  check({2, 4, 6, 8}, {2, 1, 7, 8}, {2, 4, 7, 5}, {});  // one of keys, several of values
  check({2, 4, 6, 8}, {1, 1, 7, 8}, {1, 1, 7, 5}, {2, 1, 1, 7});  // one of both
  check({1, 1, 1, 8}, {1, 1, 1, 8}, {1, 1, 7, 5}, {2, 4, 6, 7});  // all from the mask
  check({2, 4, 6, 8}, {2, 4, none, 8}, {2, 4, none, 5}, {});  // no keys: 0
  check({2, 4, none, 8}, {2, 4, 3, 8}, {2, 4, 3, 5}, {});  // no queries
  check({none, 4, 6, 8}, {none, 4, 3, 8}, {none, 4, 3, 5}, {});  // no batch
  check({2, none, 6, 8}, {2, none, 3, 8}, {2, none, 3, 5}, {});  // no heads
  check({2, 4, 1, 8}, {2, 4, 700, 8}, {2, 4, 700, 5}, {1, 700});  // one query, many blocks of keys
  check({1, 2, 300, 8}, {1, 2, 520, 8}, {1, 2, 520, 5}, {300, 520});
}

ValueId bool_mask(Spelling& a, ValueId numbers) { return add(a.graph, "Greater", {numbers, a.number(0)}); }

TEST(AttentionFusion, ChoosesByWhere) {
  for (const float hidden : {-kInfinity, -1e4f, -3.4e38f})
    for (const bool first : {false, true}) {
      Spelling a;
      const ValueId mask = bool_mask(a, a.input("mask", {"rows", "keys"}));
      a.on_masked = [&](ValueId s) {
        return first ? add(a.graph, "Where", {mask, a.number(hidden), s}) : add(a.graph, "Where", {mask, s, a.number(hidden)});
      };
      // Every row sees a key, but for hidden = -inf all may be hidden in one: that is NaN in both.
      a.build();
      const std::vector<Tensor> inputs = random_inputs(a.graph), before = run_graph(a.graph, inputs);
      EXPECT_EQ(attention_fusion_pass.apply(a.graph), 1);
      EXPECT_EQ(a.graph.nodes.size(), 2u);
      const std::vector<Tensor> after = run_graph(a.graph, inputs);
      for (size_t i = 0; i < before[0].as<float>().size(); ++i) {
        const float want = before[0].as<float>()[i], got = after[0].as<float>()[i];
        EXPECT_EQ(std::isnan(want), std::isnan(got));
        EXPECT_TRUE(std::isnan(want) || std::abs(want - got) < kTolerance) << i;
      }
    }
}

// Rows without any key: scores of -inf alone.
TEST(AttentionFusion, RowsWithoutKeys) {
  for (const bool guarded : {false, true})
    for (const float hidden : {-kInfinity, -3.4028234e38f}) {
      Spelling a;
      const ValueId mask = constant(a.graph, "mask", {3, 3}, {0, 0, 0, hidden, hidden, hidden, 0, hidden, 0});
      a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {s, mask}); };
      if (guarded)
        a.on_weights = [&](ValueId p) { return add(a.graph, "Where", {add(a.graph, "IsNaN", {p}), a.number(0), p}); };
      a.build();
      std::vector<Tensor> inputs = random_inputs(a.graph);
      inputs[0].as<float>()[0] = std::numeric_limits<float>::quiet_NaN();  // and one row without a number
      const Tensor before = run_graph(a.graph, inputs)[0];
      EXPECT_EQ(attention_fusion_pass.apply(a.graph), 1);
      EXPECT_EQ(a.graph.nodes.size(), 1u);
      const Tensor after = run_graph(a.graph, inputs)[0];
      for (size_t i = 0; i < before.as<float>().size(); ++i) {
        const float want = before.as<float>()[i], got = after.as<float>()[i];
        EXPECT_EQ(std::isnan(want), std::isnan(got)) << i;
        EXPECT_TRUE(std::isnan(want) || std::abs(want - got) < kTolerance) << i;
        EXPECT_FALSE(guarded && std::isnan(got));
      }
    }
}

TEST(AttentionFusion, AnAddedMaskThatWhereMakesIsItsCondition) {
  for (const bool hides : {false, true}) {
    Spelling a;
    const ValueId seen = bool_mask(a, a.input("mask", {"batch", 1, "rows", "keys"})), zero = a.number(0), least = a.number(-3.4e38f);
    const ValueId mask = add(a.graph, "Where", {seen, hides ? least : zero, hides ? zero : least});
    a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {s, mask}); };
    a.expect_fused(3);  // Greater, Where without a reader, attention
    EXPECT_EQ(a.graph.nodes.back().inputs[3], seen);
  }
}

TEST(AttentionFusion, CapsScores) {
  Spelling a;
  a.on_scores = [&](ValueId s) { return a.times(add(a.graph, "Tanh", {add(a.graph, "Div", {a.times(s, 0.5f), a.number(2)})}), 2); };
  a.expect_fused();
  EXPECT_EQ(std::get<float>(a.graph.nodes[0].attributes.at("softcap")), 2);
}

TEST(AttentionFusion, RepeatedHeads) {
  Spelling a;
  a.graph = {};
  a.q = a.input("q", {"batch", 6, "rows", 8}), a.k = a.input("k", {"batch", 2, 7, 8}), a.v = a.input("v", {"batch", 7, 2, 5});
  const auto ints = [&](Ints values) {
    const Shape shape({static_cast<int64_t>(values.size())});
    return a.graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
  };
  const auto repeated = [&](ValueId x, int64_t size) {
    const ValueId single = add(a.graph, "Unsqueeze", {x, ints({2})}), wide = add(a.graph, "Expand", {single, ints({1, 1, 3, 1, 1})});
    return add(a.graph, "Reshape", {wide, ints({0, 6, 7, size})});
  };
  a.k = repeated(a.k, 8);
  a.on_v = [&](ValueId x) { return repeated(a.turned(x, {0, 2, 1, 3}), 5); };
  a.expect_fused();
  EXPECT_EQ(a.graph.value(a.graph.nodes[0].inputs[1]).name, "k");
}

TEST(AttentionFusion, LeavesToOthersWhatTheyRead) {
  Spelling a;
  a.on_q = [&](ValueId x) {
    const ValueId scaled = a.times(x, 0.5f);
    a.graph.outputs.push_back(scaled);
    return scaled;
  };
  a.expect_fused(2);
}

TEST(AttentionFusion, AResultThatIsReadTwiceKeepsItsTranspose) {
  Spelling a;
  a.on_result = [&](ValueId y) {
    a.graph.outputs.push_back(y);
    return a.turned(y, {0, 2, 1, 3});
  };
  a.expect_fused(2);
}

TEST(AttentionFusion, ReadScoresAndWeightsStop) {
  for (const bool scores : {false, true}) {
    Spelling a;
    (scores ? a.on_scores : a.on_weights) = [&](ValueId x) {
      a.graph.outputs.push_back(x);
      return x;
    };
    a.expect_near_miss("an output of the graph");
  }
}

TEST(AttentionFusion, ASecondReaderStops) {
  Spelling a;
  a.on_weights = [&](ValueId x) {
    a.graph.outputs.push_back(add(a.graph, "ReduceSum", {x}));
    return x;
  };
  a.expect_near_miss("also read outside");
}

TEST(AttentionFusion, AnotherAxisStops) {
  for (const int64_t axis : {0, 1, 2, -2}) {
    Spelling a;
    a.softmax["axis"] = axis;
    a.expect_near_miss("last axis");
  }
  Spelling last;
  last.softmax["axis"] = int64_t{3};
  last.expect_fused();
}

TEST(AttentionFusion, AScaleBehindAMaskStops) {
  Spelling a;
  const ValueId mask = a.input("mask", {"keys"});
  a.on_masked = [&](ValueId s) { return a.times(add(a.graph, "Add", {s, mask}), 0.5f); };
  a.expect_near_miss("behind a mask");
}

TEST(AttentionFusion, FourMasksStop) {
  Spelling a;
  const ValueId mask = a.input("mask", {"keys"});
  const auto masked = [&](ValueId s) { return add(a.graph, "Add", {s, mask}); };
  a.on_masked = [&](ValueId s) { return masked(masked(masked(masked(s)))); };
  a.expect_near_miss("more than two masks");
}

TEST(AttentionFusion, OfThreeMasksTwoOfOneShapeAreAddedFirst) {
  Spelling a;
  const ValueId mask = a.input("mask", {4, 1, 1}), second = a.input("second", {"rows", "keys"});
  const auto masked = [&](ValueId s, ValueId by) { return add(a.graph, "Add", {s, by}); };
  a.on_masked = [&](ValueId s) { return masked(masked(masked(s, mask), second), second); };
  a.expect_fused(2);
  Spelling other;
  const ValueId row = other.input("row", {"keys"}), table = other.input("table", {"rows", "keys"});
  other.on_masked = [&](ValueId s) { return add(other.graph, "Add", {add(other.graph, "Add", {add(other.graph, "Add", {s, row}), table}), row}); };
  other.expect_near_miss("more than two masks");
}

TEST(AttentionFusion, AMaskOfMoreAxesStops) {
  Spelling a;
  const ValueId mask = a.input("mask", {2, 1, 1, 1, 1});
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {s, mask}); };
  a.expect_near_miss("rank");
}

TEST(AttentionFusion, AnUnknownRankStops) {
  Spelling a;
  a.graph.value(a.v).type.dims.reset();
  a.expect_near_miss("rank");
}

TEST(AttentionFusion, ScoresThatAreTheirOwnMaskStop) {
  Spelling a;
  a.on_masked = [&](ValueId s) { return add(a.graph, "Add", {s, s}); };
  a.expect_near_miss("their own mask");
}

TEST(AttentionFusion, MatricesAreNotAttention) {
  Spelling a;
  a.graph = {};
  a.q = a.input("q", {"rows", 8}), a.k = a.input("k", {"keys", 8}), a.v = a.input("v", {"keys", 5});
  a.k_transpose = {1, 0};
  a.build();
  PassNotes notes;
  EXPECT_EQ(attention_fusion_pass.rewrite(a.graph, notes), 0);
  EXPECT_TRUE(notes.near_misses().empty());
}

}  // namespace
}  // namespace tandem
