#include <gtest/gtest.h>

#include "kernels/base/half.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 2e-5f;

// A graph of x, in the steps of exporters.
struct Spelling {
  Graph graph;
  ValueId x;
  std::vector<int64_t> axes = {-1};
  bool axes_as_input = true, pow = true;

  explicit Spelling(Dims dims = {"batch", 3, 4}) : x(graph.add_input("x", DType::kF32, std::move(dims))) {}

  ValueId number(float value) { return constant(graph, "c", {}, {value}); }
  ValueId of(std::string_view op, std::vector<ValueId> inputs) { return add(graph, op, std::move(inputs)); }
  ValueId mean(ValueId value) {
    if (!axes_as_input) return graph.add_node(find_op("", "ReduceMean", 13), {value}, 1, {{"axes", axes}})[0];
    const ValueId list = graph.add_constant("axes", Tensor::of<int64_t>({static_cast<int64_t>(axes.size())}, axes));
    return of("ReduceMean", {value, list});
  }
  ValueId centred() { return of("Sub", {x, mean(x)}); }
  ValueId square(ValueId value) { return pow ? of("Pow", {value, number(2)}) : of("Mul", {value, value}); }
  ValueId variance(ValueId value) { return of("Add", {mean(square(value)), number(1e-3f)}); }
  ValueId root(ValueId value) { return of("Sqrt", {variance(value)}); }
  ValueId row(const char* name, const Shape& shape = {4}) { return graph.add_constant(name, random_tensor(shape, 3)); }

  ValueId layer_norm() {
    const ValueId d = centred();
    return of("Div", {d, root(d)});
  }
  ValueId rms_norm() { return of("Div", {x, root(x)}); }

  void expect(ValueId y, const std::string& line, size_t nodes = 1) {
    graph.outputs = {y};
    EXPECT_EQ(apply_and_compare(normalization_fusion_pass, graph, kTolerance), 1);
    EXPECT_EQ(graph.nodes.size(), nodes);
    EXPECT_NE(to_text(graph).find(line), std::string::npos) << to_text(graph);
  }
  std::string near_miss(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    PassNotes notes;
    EXPECT_EQ(normalization_fusion_pass.rewrite(graph, notes), 0);
    return notes.near_misses().empty() ? "" : notes.near_misses()[0].why;
  }
};

TEST(NormalizationFusion, LayerNormalizationAsOldExportersWriteIt) {
  for (const bool pow : {false, true})
    for (const bool axes_as_input : {false, true}) {
      Spelling s;
      s.pow = pow, s.axes_as_input = axes_as_input;
      const ValueId scaled = s.of("Mul", {s.row("scale"), s.layer_norm()});
      s.expect(s.of("Add", {scaled, s.row("bias")}), "LayerNormalization(%x, %scale, %bias) {axis=-1, epsilon=0.001}");
    }
}

TEST(NormalizationFusion, OneSubtractionForEachUse) {
  Spelling s;
  const ValueId y = s.of("Div", {s.centred(), s.root(s.centred())});
  s.expect(s.of("Mul", {y, s.row("scale", {1, 4})}), "LayerNormalization(%x, %scale.1)");
}

TEST(NormalizationFusion, WithoutScaleItIsOne) {
  Spelling s;
  s.expect(s.layer_norm(), "LayerNormalization(%x, %ones)");
  Spelling t;
  t.expect(t.rms_norm(), "RMSNormalization(%x, %ones)");
}

TEST(NormalizationFusion, SeveralAxes) {
  for (const auto& axes : {std::vector<int64_t>{-2, -1}, std::vector<int64_t>{2, 1}}) {
    Spelling s;
    s.axes = axes;
    s.expect(s.of("Mul", {s.layer_norm(), s.row("scale", {3, 4})}), "axis=-2");
  }
}

TEST(NormalizationFusion, RmsInEverySpelling) {
  const auto expect = [](auto write) {
    Spelling s;
    s.expect(s.of("Mul", {s.row("scale"), write(s)}), "RMSNormalization(%x, %scale) {axis=-1, epsilon=0.001}");
  };
  expect([](Spelling& s) { return s.rms_norm(); });
  expect([](Spelling& s) { return s.of("Mul", {s.x, s.of("Reciprocal", {s.root(s.x)})}); });
  expect([](Spelling& s) { return s.of("Mul", {s.of("Div", {s.number(1), s.root(s.x)}), s.x}); });  // T5, Llama
  expect([](Spelling& s) { return s.of("Mul", {s.x, s.of("Pow", {s.variance(s.x), s.number(-0.5f)})}); });
}

// What others read stays.
TEST(NormalizationFusion, TakesInOnlyWhatTheNextStepReads) {
  Spelling s;
  const ValueId y = s.layer_norm();
  s.graph.outputs = {s.of("Mul", {y, s.row("scale")}), y};
  EXPECT_EQ(apply_and_compare(normalization_fusion_pass, s.graph, kTolerance), 1);
  EXPECT_EQ(s.graph.nodes.size(), 2u);
  Spelling t;
  t.expect(t.of("Mul", {t.rms_norm(), t.row("column", {3, 1})}), "RMSNormalization(%x, %ones)", 2);
}

TEST(NormalizationFusion, NarrowsAsTheNetworkDid) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {"batch", 4}), wide = add(graph, "Cast", {x}, {{"to", int64_t{1}}});
  const ValueId axes = graph.add_constant("axes", Tensor::of<int64_t>({1}, {-1}));
  const ValueId mean = add(graph, "ReduceMean", {add(graph, "Mul", {wide, wide}), axes});
  const ValueId root = add(graph, "Sqrt", {add(graph, "Add", {mean, constant(graph, "e", {}, {1e-3f})})});
  const ValueId narrow = add(graph, "Cast", {add(graph, "Div", {wide, root})}, {{"to", int64_t{10}}});
  graph.outputs = {add(graph, "Mul", {narrow, graph.add_constant("scale", Tensor::of<F16>({4}, std::vector<F16>(4, to_f16(2))))})};
  EXPECT_EQ(normalization_fusion_pass.apply(graph), 1);
  verify(graph);
  EXPECT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].inputs[0], x);
}

TEST(NormalizationFusion, LeavesOtherFormulasAlone) {
  const auto expect = [](auto write) {
    Spelling s;
    EXPECT_EQ(s.near_miss({write(s)}), "");
  };
  expect([](Spelling& s) {  // the mean over another axis
    const ValueId d = s.centred();
    s.axes = {1};
    return s.of("Div", {d, s.root(d)});
  });
  expect([](Spelling& s) {  // the first axis
    s.axes = {0};
    return s.layer_norm();
  });
  expect([](Spelling& s) { return s.of("Div", {s.of("Exp", {s.x}), s.root(s.x)}); });
  expect([](Spelling& s) {  // the third power
    return s.of("Div", {s.x, s.of("Sqrt", {s.of("Add", {s.mean(s.of("Pow", {s.x, s.number(3)})), s.number(1)})})});
  });
  expect([](Spelling& s) { return s.of("Div", {s.root(s.x), s.x}); });
}

TEST(NormalizationFusion, SaysWhatWasInTheWay) {
  Spelling s;
  const ValueId d = s.centred(), root = s.root(d);
  EXPECT_EQ(s.near_miss({s.of("Div", {d, root}), d}), "LayerNormalization: Sub is an output of the graph");
  Spelling t;
  const ValueId deviation = t.root(t.x);
  EXPECT_EQ(t.near_miss({t.of("Mul", {t.of("Div", {t.x, deviation}), t.row("scale")}), t.of("Exp", {deviation})}),
            "RMSNormalization: Sqrt is also read outside of the pattern");
  Spelling open({"batch", "length"});
  EXPECT_EQ(open.near_miss({open.rms_norm()}), "RMSNormalization: there is no scale, and the length of a row is not known");
}

}  // namespace
}  // namespace tandem
