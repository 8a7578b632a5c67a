// The chains of shape arithmetic that exporters write around Reshape, Expand and Slice: what the rules know with symbols, and
// what a run gives for several batch sizes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <numeric>

#include "runtime/exec/executor.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;

ValueId ints(Graph& graph, std::vector<int64_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
}

Tensor counted(const Shape& shape) {
  Tensor tensor(DType::kF32, shape);
  auto values = tensor.as<float>();
  std::iota(values.begin(), values.end(), 0.0f);
  return tensor;
}

// The shape of the output for an input of [batch, 3, 4].
std::string run_shape(Executor& executor, int64_t batch) {
  const Tensor x = counted({batch, 3, 4});
  const ConstTensorView inputs[] = {x.view()};
  return to_string(executor.run(inputs)[0].shape);
}

std::string symbolic(const Graph& graph) { return to_string(*graph.value(graph.outputs[0]).type.dims); }

// x.view(x.size(0), -1) as PyTorch exports it.
TEST(ShapeChain, ReshapeByGatheredSizeKeepsTheSymbol) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const ValueId size = add(graph, "Gather", {add(graph, "Shape", {x}), graph.add_constant("zero", Tensor::scalar<int64_t>(0))});
  const ValueId shape =
      add(graph, "Concat", {add(graph, "Unsqueeze", {size, ints(graph, {0})}), ints(graph, {-1})}, {{"axis", int64_t{0}}});
  graph.outputs = {add(graph, "Reshape", {x, shape})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 8}}}));
  EXPECT_EQ(symbolic(executor.plan().graph), "[batch, 12]");
  EXPECT_EQ(run_shape(executor, 8), "[8, 12]");
  EXPECT_EQ(run_shape(executor, 1), "[1, 12]");
}

// tf.shape(x)[:1] joined with fixed sizes, cast on the way.
TEST(ShapeChain, SliceCastAndConcat) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const ValueId narrow = add(graph, "Cast", {add(graph, "Shape", {x})}, {{"to", static_cast<int64_t>(DType::kI32)}});
  const ValueId first = add(graph, "Slice", {narrow, ints(graph, {0}), ints(graph, {1}), ints(graph, {0})});
  const ValueId wide = add(graph, "Cast", {first}, {{"to", static_cast<int64_t>(DType::kI64)}});
  graph.outputs = {add(graph, "Reshape", {x, add(graph, "Concat", {wide, ints(graph, {4, 3})}, {{"axis", int64_t{0}}})})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 5}}}));
  EXPECT_EQ(symbolic(executor.plan().graph), "[batch, 4, 3]");
  EXPECT_EQ(run_shape(executor, 2), "[2, 4, 3]");
}

// As many rows of a table of positions as there are words: a size that nobody knows yet is not -1, which would mean "all but one".
TEST(ShapeChain, AnUnknownSizeIsNoNumber) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, Dims{"batch", Dim(), 4}), table = graph.add_constant("table", counted({1, 17, 4}));
  const ValueId end = add(graph, "Shape", {x}, {{"start", int64_t{1}}, {"end", int64_t{2}}});
  graph.outputs = {add(graph, "Slice", {table, ints(graph, {0}), end, ints(graph, {1})})};
  EXPECT_EQ(symbolic(graph), "[1, ?, 4]");
  Executor executor(make_plan(graph, {.bounds = {{"batch", 2}, {"x.1", 3}}}));
  EXPECT_EQ(run_shape(executor, 2), "[1, 3, 4]");
}

// To a shape that only a run knows: sizes that are more than 1 in a plan may be 1 in a run, and then the shape counts.
TEST(ShapeChain, ExpandToAShapeOfARun) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n"}), shape = graph.add_input("shape", DType::kI64, {1});
  graph.outputs = {add(graph, "Expand", {x, shape})};
  Executor executor(make_plan(graph, {.bounds = {{"n", 2}}}));
  const auto rows = [&](int64_t n, int64_t wanted) {
    const Tensor given = counted({n}), size = Tensor::of<int64_t>({1}, std::vector<int64_t>{wanted});
    const ConstTensorView inputs[] = {given.view(), size.view()};
    return to_string(executor.run(inputs)[0].shape);
  };
  EXPECT_EQ(rows(2, 2), "[2]");
  EXPECT_EQ(rows(1, 3), "[3]");
  EXPECT_EQ(rows(1, 1), "[1]");
}

// The last rows, as many as a batch is large: -1 for a batch of 1 is a number once the sizes are known.
TEST(ShapeChain, MinusOneOfAKnownSizeIsANumber) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const ValueId size = add(graph, "Shape", {x}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
  graph.outputs = {add(graph, "Slice", {x, add(graph, "Neg", {size}), ints(graph, {std::numeric_limits<int64_t>::max()}), ints(graph, {1})})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 3}}}));
  EXPECT_EQ(run_shape(executor, 3), "[3, 3, 4]");
  EXPECT_EQ(run_shape(executor, 2), "[2, 2, 4]");
  EXPECT_EQ(run_shape(executor, 1), "[1, 1, 4]");
}

// A cache of keys that grows: the mask for all rows is cut to the new ones, and the rows are told apart again.
TEST(ShapeChain, SumsAndDifferences) {
  Graph graph;
  const ValueId past = graph.add_input("cache", DType::kF32, {"batch", "past", 4}), fresh = graph.add_input("fresh", DType::kF32, {"batch", "seq", 4});
  const ValueId all = add(graph, "Concat", {past, fresh}, {{"axis", int64_t{1}}});
  EXPECT_EQ(to_string(*graph.value(all).type.dims), "[batch, past + seq, 4]");
  const auto size_of = [&](ValueId x) { return add(graph, "Shape", {x}, {{"start", int64_t{1}}, {"end", int64_t{2}}}); };
  const ValueId end = add(graph, "Add", {size_of(past), size_of(fresh)});
  graph.outputs = {add(graph, "Slice", {all, size_of(past), end, ints(graph, {1})}),
                   add(graph, "Reshape", {add(graph, "Reshape", {all, ints(graph, {-1, 4})}), add(graph, "Concat", {ints(graph, {-1}), end, ints(graph, {4})}, {{"axis", int64_t{0}}})})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 4}, {"past", 9}, {"seq", 5}}}));
  const Graph& planned = executor.plan().graph;
  EXPECT_EQ(to_string(*planned.value(planned.outputs[0]).type.dims), "[batch, seq, 4]");
  EXPECT_EQ(to_string(*planned.value(planned.outputs[1]).type.dims), "[batch, past + seq, 4]");
  EXPECT_EQ(executor.plan().bounds.size(), 3u);  // none of the expressions is a symbol of its own
  for (const auto& [batch, rows, more] : {std::array{2, 3, 1}, std::array{1, 0, 5}, std::array{4, 9, 2}}) {
    const Tensor a = counted({batch, rows, 4}), b = counted({batch, more, 4});
    const ConstTensorView inputs[] = {a.view(), b.view()};
    const auto outputs = executor.run(inputs);
    EXPECT_EQ(outputs[0].shape, b.shape());
    EXPECT_EQ(outputs[1].shape, (Shape{batch, rows + more, 4}));
  }
}

// Windows with strides, a slice from the second on, and positions of all that is left.
TEST(ShapeChain, FloorsAndClampedSizes) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 1, "w"});
  const auto pool = [&](ValueId from) {
    return add(graph, "MaxPool", {from}, {{"kernel_shape", std::vector<int64_t>{3}}, {"strides", std::vector<int64_t>{2}}, {"pads", std::vector<int64_t>{1, 1}}});
  };
  const ValueId once = pool(x), twice = pool(once);
  EXPECT_EQ(to_string(*graph.value(once).type.dims), "[batch, 1, floor((w + 1)/2)]");
  EXPECT_EQ(to_string(*graph.value(twice).type.dims), "[batch, 1, floor((w + 3)/4)]");
  const ValueId rest = add(graph, "Slice", {x, ints(graph, {1}), ints(graph, {std::numeric_limits<int64_t>::max()}), ints(graph, {2})});
  const ValueId scalar = add(graph, "Squeeze", {add(graph, "Shape", {twice}, {{"start", int64_t{2}}})});
  const ValueId zero = graph.add_constant("zero", Tensor::scalar<int64_t>(0)), one = graph.add_constant("one", Tensor::scalar<int64_t>(1));
  graph.outputs = {rest, add(graph, "Range", {zero, scalar, one})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 2}, {"w", 33}}}));
  const Graph& planned = executor.plan().graph;
  EXPECT_EQ(to_string(*planned.value(planned.outputs[0]).type.dims), "[batch, 1, max(0, w - 1)]");
  EXPECT_EQ(to_string(*planned.value(planned.outputs[1]).type.dims), "[floor((w + 3)/4)]");
  for (const int64_t width : {1, 2, 7, 33}) {
    const Tensor input = counted({2, 1, width});
    const ConstTensorView inputs[] = {input.view()};
    const auto outputs = executor.run(inputs);
    EXPECT_EQ(outputs[0].shape, (Shape{2, 1, width - 1}));
    EXPECT_EQ(outputs[1].shape, (Shape{(width + 3) / 4}));
  }
}

// The rank that the zeros copy from is known at the run only: they are no -1.
TEST(ShapeChain, SeveralZerosOfATensorOfOpenRank) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const ValueId fed = graph.add_input("fed", DType::kI64, {"rank"});
  const ValueId open = add(graph, "Reshape", {x, fed});
  graph.outputs = {add(graph, "Reshape", {open, ints(graph, {0, 0, -1})})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 5}, {"rank", 4}}}));
  const Tensor values = counted({5, 3, 4}), shape = Tensor::of<int64_t>({4}, {5, 2, 3, 2});
  const ConstTensorView inputs[] = {values.view(), shape.view()};
  EXPECT_EQ(to_string(executor.run(inputs)[0].shape), "[5, 2, 6]");
}

// No bound that is assumed for an open size fits the matrix: the run finds the sizes.
TEST(ShapeChain, AnOpenSizeThatAMatrixSettles) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {Dim(), 3, Dim()});
  const ValueId w = graph.add_constant("w", counted({5, 2}));
  graph.outputs = {add(graph, "MatMul", {x, w})};
  Executor executor(make_plan(graph, {}));
  const Tensor fits = counted({7, 3, 5}), other = counted({7, 3, 4}), wrong = counted({7, 4, 5});
  const auto run = [&](const Tensor& tensor) {
    const ConstTensorView inputs[] = {tensor.view()};
    return to_string(executor.run(inputs)[0].shape);
  };
  EXPECT_EQ(run(fits), "[7, 3, 2]");
  EXPECT_THROW(run(other), Error);
  EXPECT_THROW(run(wrong), Error);
  EXPECT_EQ(run(fits), "[7, 3, 2]");
}

// Tensor.expand: sizes of -1 are chosen by Equal and Where among those of the tensor.
TEST(ShapeChain, ExpandToAChosenShape) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const ValueId size = add(graph, "Shape", {x}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
  const ValueId asked = add(graph, "Concat", {ints(graph, {2}), size, ints(graph, {-1, -1})}, {{"axis", int64_t{0}}});
  const ValueId open = add(graph, "Equal", {asked, ints(graph, {-1})});
  graph.outputs = {add(graph, "Expand", {x, add(graph, "Where", {open, ints(graph, {1}), asked})})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 5}}}));
  EXPECT_EQ(run_shape(executor, 5), "[2, 5, 3, 4]");
  EXPECT_EQ(run_shape(executor, 3), "[2, 3, 3, 4]");
}

// Attention masks: Range over a length that the graph computes, half of a dimension.
TEST(ShapeChain, RangeAndSliceByComputedSizes) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const auto scalar = [&](int64_t value) { return graph.add_constant("scalar", Tensor::scalar<int64_t>(value)); };
  const ValueId length = add(graph, "Gather", {add(graph, "Shape", {x}), scalar(0)});
  const ValueId half = add(graph, "Div", {length, scalar(2)});
  const ValueId rows = add(graph, "Range", {scalar(0), half, scalar(1)});
  graph.outputs = {add(graph, "Gather", {x, rows}, {{"axis", int64_t{0}}})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 8}}}));
  EXPECT_EQ(run_shape(executor, 8), "[4, 3, 4]");
  EXPECT_EQ(run_shape(executor, 5), "[2, 3, 4]");
}

// Windows of a picture as Swin cuts them: batch * 9 of them, and back.
TEST(ShapeChain, ProductsOfSymbolsDivideAgain) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const ValueId windows = add(graph, "Reshape", {x, ints(graph, {-1, 2})});
  EXPECT_EQ(to_string(*graph.value(windows).type.dims), "[6*batch, 2]");
  graph.outputs = {add(graph, "Reshape", {windows, ints(graph, {-1, 4, 3})})};
  EXPECT_EQ(symbolic(graph), "[batch, 4, 3]");
  const ValueId odd = add(graph, "Reshape", {windows, ints(graph, {-1, 24})});
  EXPECT_EQ(to_string(*graph.value(odd).type.dims), "[?, 24]");  // batch / 2
  const ValueId y = graph.add_input("y", DType::kF32, {"length", "batch", 4});
  EXPECT_EQ(to_string(*graph.value(add(graph, "Flatten", {y}, {{"axis", int64_t{0}}})).type.dims), "[1, 4*batch*length]");
}

TEST(ShapeChain, SizesAreMultipliedAndDivided) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 6});
  const ValueId size = add(graph, "Shape", {x});
  const ValueId twice = add(graph, "Mul", {size, ints(graph, {2})}), parts = add(graph, "Div", {twice, ints(graph, {1, 4})});
  graph.outputs = {add(graph, "Reshape", {x, parts})};
  Executor executor(make_plan(graph, {.bounds = {{"batch", 4}}}));
  EXPECT_EQ(symbolic(executor.plan().graph), "[2*batch, 3]");
  const Tensor given = counted({3, 6});
  const ConstTensorView inputs[] = {given.view()};
  EXPECT_EQ(to_string(executor.run(inputs)[0].shape), "[6, 3]");
}

}  // namespace
}  // namespace tandem
