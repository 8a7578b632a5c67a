#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "kernels/base/half.h"
#include "runtime/graph/contexts.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 1e-6f;
constexpr auto kSqrt2 = static_cast<float>(std::numbers::sqrt2);
const float kTanhScale = std::sqrt(2 / std::numbers::pi_v<float>);

// A graph of x, with numbers and ops in a line each.
struct Spelling {
  Graph graph;
  ValueId x;
  Shape number_shape = {};

  explicit Spelling(Dims dims = {"batch", 5}, DType dtype = DType::kF32) : x(graph.add_input("x", dtype, std::move(dims))) {}
  ValueId number(float value) { return constant(graph, "c", number_shape, {value}); }
  ValueId mul(ValueId a, ValueId b) { return add(graph, "Mul", {a, b}); }
  ValueId mul(ValueId a, float b) { return mul(a, number(b)); }
  ValueId div(ValueId a, float b) { return add(graph, "Div", {a, number(b)}); }
  ValueId plus(ValueId a, float b) { return add(graph, "Add", {a, number(b)}); }
  ValueId of(std::string_view op, ValueId a) { return add(graph, op, {a}); }
  ValueId erf_gate() { return plus(of("Erf", div(x, kSqrt2)), 1); }
  ValueId clip(ValueId a, float low, float high) { return add(graph, "Clip", {a, number(low), number(high)}); }
  ValueId min_max(ValueId a, float low, float high) {
    return add(graph, "Min", {add(graph, "Max", {number(low), a}), number(high)});
  }

  // Applies the pass; the text of the node that makes the output.
  std::string fused(ValueId y) {
    graph.outputs = {y};
    EXPECT_EQ(apply_and_compare(gelu_fusion_pass, graph, kTolerance), 1);
    EXPECT_EQ(graph.nodes.size(), 1u) << to_text(graph);
    const Node& last = graph.nodes.back();
    std::string text(last.def->name);
    if (last.attributes.contains("approximate")) text += " " + NodeContext(last).get_string("approximate", "");
    if (last.attributes.contains("alpha")) text += " " + std::to_string(NodeContext(last).get_float("alpha", 0)).substr(0, 5);
    return text;
  }
};

using Write = std::function<ValueId(Spelling&)>;

void expect_fused(const std::string& wanted, std::initializer_list<Write> spellings) {
  int at = 0;
  for (const Write& write : spellings) {
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
      Spelling s;
      s.number_shape = shape;
      EXPECT_EQ(s.fused(write(s)), wanted) << "spelling " << at << " " << to_text(s.graph);
    }
    ++at;
  }
}

TEST(GeluFusion, ErfInEveryAssociation) {
  expect_fused("Gelu", {
                           [](Spelling& s) { return s.mul(s.mul(s.x, s.erf_gate()), 0.5f); },  // PyTorch
                           [](Spelling& s) { return s.mul(s.mul(s.x, 0.5f), s.erf_gate()); },
                           [](Spelling& s) { return s.mul(s.erf_gate(), s.mul(s.number(0.5f), s.x)); },
                           [](Spelling& s) { return s.mul(s.x, s.mul(s.erf_gate(), 0.5f)); },
                           [](Spelling& s) { return s.div(s.mul(s.erf_gate(), s.x), 2); },
                           [](Spelling& s) { return s.mul(s.div(s.x, 2), s.plus(s.of("Erf", s.mul(s.x, 1 / kSqrt2)), 1)); },
                           [](Spelling& s) {
                             return s.mul(s.mul(s.x, 0.5f), add(s.graph, "Add", {s.number(1), s.of("Erf", s.mul(s.x, 0.70711f))}));
                           },
                       });
}

TEST(GeluFusion, TanhWithEveryCube) {
  const auto y = [](Spelling& s, ValueId angle) { return s.mul(s.mul(s.x, 0.5f), s.plus(s.of("Tanh", angle), 1)); };
  const auto angle = [](Spelling& s, ValueId cube) { return s.mul(add(s.graph, "Add", {s.x, s.mul(cube, 0.044715f)}), kTanhScale); };
  expect_fused("Gelu tanh", {
                                [=](Spelling& s) { return y(s, angle(s, add(s.graph, "Pow", {s.x, s.number(3)}))); },
                                [=](Spelling& s) { return y(s, angle(s, s.mul(s.mul(s.x, s.x), s.x))); },
                                [=](Spelling& s) { return y(s, angle(s, s.mul(s.x, add(s.graph, "Pow", {s.x, s.number(2)})))); },
                                [=](Spelling& s) {  // onnxruntime's FastGelu
                                  const ValueId sum = s.plus(s.mul(s.mul(s.x, s.x), 0.044715f), 1);
                                  return y(s, s.mul(s.mul(s.x, 0.79788456f), sum));
                                },
                                [=](Spelling& s) {
                                  const ValueId cube = s.mul(s.mul(s.mul(s.x, 0.044715f), s.x), s.x);
                                  return y(s, s.mul(s.number(kTanhScale), add(s.graph, "Add", {cube, s.x})));
                                },
                            });
}

TEST(GeluFusion, Swish) {
  expect_fused("Swish 1.000", {[](Spelling& s) { return s.mul(s.x, s.of("Sigmoid", s.x)); },
                               [](Spelling& s) { return s.mul(s.of("Sigmoid", s.x), s.x); }});
  expect_fused("Swish 1.702", {[](Spelling& s) { return s.mul(s.x, s.of("Sigmoid", s.mul(s.x, 1.702f))); }});
  expect_fused("Swish 0.250", {[](Spelling& s) { return s.mul(s.x, s.of("Sigmoid", s.div(s.x, 4))); }});
}

TEST(GeluFusion, HardSwish) {
  expect_fused("HardSwish", {
                                [](Spelling& s) { return s.div(s.mul(s.x, s.clip(s.plus(s.x, 3), 0, 6)), 6); },
                                [](Spelling& s) { return s.mul(s.x, s.div(s.clip(s.plus(s.x, 3), 0, 6), 6)); },
                                [](Spelling& s) { return s.mul(s.mul(s.x, 1.0f / 6), s.min_max(s.plus(s.x, 3), 0, 6)); },
                                [](Spelling& s) { return s.mul(s.x, s.clip(s.plus(s.div(s.x, 6), 0.5f), 0, 1)); },
                                [](Spelling& s) {
                                  return s.mul(s.div(s.x, 6), add(s.graph, "Min", {s.number(6), s.of("Relu", s.plus(s.x, 3))}));
                                },
                                [](Spelling& s) {
                                  return s.mul(s.x, add(s.graph, "HardSigmoid", {s.x}, {{"alpha", 1.0f / 6}, {"beta", 0.5f}}));
                                },
                            });
}

TEST(GeluFusion, Mish) {
  expect_fused("Mish", {[](Spelling& s) { return s.mul(s.x, s.of("Tanh", s.of("Softplus", s.x))); }});
}

TEST(GeluFusion, TakesTheSmallestProduct) {
  Spelling s;
  s.graph.outputs = {s.mul(s.mul(s.x, s.of("Sigmoid", s.x)), 3.0f)};
  EXPECT_EQ(apply_and_compare(gelu_fusion_pass, s.graph, kTolerance), 1);
  EXPECT_EQ(s.graph.nodes.size(), 2u);
}

// What it says of the first place where something was in the way.

std::string near_miss(Graph& graph) {
  PassNotes notes;
  EXPECT_EQ(gelu_fusion_pass.rewrite(graph, notes), 0);
  return notes.near_misses().empty() ? "" : notes.near_misses()[0].why;
}

TEST(GeluFusion, LeavesOtherFormulasAlone) {
  const Write others[] = {
      [](Spelling& s) { return s.mul(s.x, s.erf_gate()); },                                               // no half
      [](Spelling& s) { return s.mul(s.mul(s.x, 0.5f), s.plus(s.of("Erf", s.div(s.x, 1.5f)), 1)); },      // another scale
      [](Spelling& s) { return s.mul(s.mul(s.x, 0.5f), s.plus(s.of("Erf", s.div(s.x, kSqrt2)), 2)); },    // another sum
      [](Spelling& s) { return s.mul(s.mul(s.plus(s.x, 0), 0.5f), s.erf_gate()); },                       // another x
      [](Spelling& s) { return s.mul(s.mul(s.x, s.of("Sigmoid", s.x)), s.x); },                           // swish, times x
      [](Spelling& s) { return s.div(s.mul(s.x, s.clip(s.plus(s.x, 3), 0, 5)), 6); },                     // other bounds
      [](Spelling& s) { return s.div(s.mul(s.x, s.clip(s.plus(s.x, 2), 0, 6)), 6); },                     // another shift
      [](Spelling& s) { return s.mul(s.x, add(s.graph, "HardSigmoid", {s.x})); },                         // alpha = 0.2
      [](Spelling& s) { return s.mul(s.x, s.of("Tanh", s.of("Softplus", s.plus(s.x, 0)))); },             // another x
      [](Spelling& s) { return s.mul(s.x, s.x); },
      [](Spelling& s) { return add(s.graph, "Div", {s.x, s.of("Sigmoid", s.x)}); },
  };
  int at = 0;
  for (const Write& write : others) {
    Spelling s;
    s.graph.outputs = {write(s)};
    const bool is_swish_times_x = at == 4;
    EXPECT_EQ(apply_and_compare(gelu_fusion_pass, s.graph, kTolerance), is_swish_times_x) << at;
    ++at;
  }
}

TEST(GeluFusion, SaysWhoElseReadsAnInnerTensor) {
  Spelling s;
  const ValueId erf = s.of("Erf", s.div(s.x, kSqrt2));
  s.graph.outputs = {s.mul(s.mul(s.x, s.plus(erf, 1)), 0.5f), s.of("Neg", erf)};
  EXPECT_EQ(near_miss(s.graph), "Gelu: Erf is also read outside of the pattern");
  Spelling t;
  const ValueId half = t.mul(t.x, 0.5f);
  t.graph.outputs = {t.mul(half, t.erf_gate()), half};
  EXPECT_EQ(near_miss(t.graph), "Gelu: Mul is an output of the graph");
}

TEST(GeluFusion, KeepsTheNumberOfAxes) {
  Spelling s({}, DType::kF32);
  s.number_shape = {1};
  s.graph.outputs = {s.mul(s.mul(s.x, s.erf_gate()), 0.5f)};
  EXPECT_EQ(near_miss(s.graph), "Gelu: a constant has more axes than x");
}

TEST(GeluFusion, IsOfFloatsOnly) {
  Graph graph;
  const auto number = [&](int64_t value) { return graph.add_constant("c", Tensor::scalar<int64_t>(value)); };
  const ValueId x = graph.add_input("x", DType::kI64, {4});
  const ValueId gate = add(graph, "Clip", {add(graph, "Add", {x, number(3)}), number(0), number(6)});
  graph.outputs = {add(graph, "Div", {add(graph, "Mul", {x, gate}), number(6)})};
  EXPECT_EQ(near_miss(graph), "");
}

TEST(GeluFusion, DoesNotCarryAReadPastAnUpdate) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1}), w = graph.add_state("w", Tensor::of<float>({1}, {3}));
  const ValueId gate = add(graph, "Sigmoid", {w});
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Mul", {x, gate})};
  EXPECT_EQ(near_miss(graph), "");
}

TEST(GeluFusion, ReadsHalfPrecisionConstants) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {"n"});
  const auto number = [&](float value) { return graph.add_constant("c", Tensor::scalar<F16>(to_f16(value))); };
  const ValueId gate = add(graph, "Add", {add(graph, "Erf", {add(graph, "Div", {x, number(kSqrt2)})}), number(1)});
  graph.outputs = {add(graph, "Mul", {add(graph, "Mul", {x, gate}), number(0.5f)})};
  EXPECT_EQ(gelu_fusion_pass.apply(graph), 1);
  EXPECT_EQ(graph.nodes[0].def->name, "Gelu");
}

}  // namespace
}  // namespace tandem
