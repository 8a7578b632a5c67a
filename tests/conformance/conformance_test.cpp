// Every case against everything that must hold of every op; and every op has cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <set>

#include "kernels/api/isa.h"
#include "kernels/api/strided_box.h"
#include "runtime/graph/contexts.h"
#include "runtime/onnx/onnx.h"
#include "runtime/ops/all_ops.h"
#include "tests/conformance/gradient_check.h"
#include "tests/conformance/run_case.h"
#include "tests/support/dim_value.h"

namespace tandem::conformance {

// For GoogleTest.
void PrintTo(const Case& one, std::ostream* stream) { *stream << one.op << " " << one.what; }

namespace {

std::string version_name(const OpDef& def) {
  return (def.domain.empty() ? "" : std::string(def.domain) + ".") + std::string(def.name) + "-" + std::to_string(def.since);
}

// Where two lists of tensors differ, or "".
std::string difference(const std::vector<Tensor>& produced, const std::vector<Tensor>& expected) {
  if (produced.size() != expected.size()) return "number of outputs";
  for (size_t i = 0; i < produced.size(); ++i)
    if (!identical(produced[i], expected[i])) return "output " + std::to_string(i) + " differs";
  return "";
}

void expect_close(const Tensor& produced, const Tensor& expected, double rtol, double atol) {
  ASSERT_EQ(to_string(produced.shape()), to_string(expected.shape()));
  if (produced.dtype() == DType::kString) {
    EXPECT_TRUE(identical(produced, expected));
    return;
  }
  const std::vector<double> a = numbers(produced), b = numbers(expected);
  for (size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    const bool exact = !is_float(produced.dtype());
    if (!same && (exact || !(std::fabs(a[i] - b[i]) <= atol + rtol * std::fabs(b[i]))))
      FAIL() << "element " << i << " is " << a[i] << ", the reference says " << b[i];
  }
}

bool is_view(const OpDef& def) { return def.cpu == nullptr; }

void expect_the_reference(const Case& one) {
  const std::vector<Tensor> outputs = run(graph_of(one), fed_inputs(one));
  if (!one.reference) {
    EXPECT_TRUE(has_gradient_check(one)) << "a case without a reference checks nothing but its gradient";
    return;
  }
  const std::vector<Tensor> expected = one.reference(one.inputs);
  ASSERT_GE(outputs.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    if (expected[i]) expect_close(outputs[i], expected[i], one.rtol, one.atol);
}

// The case with a symbol for each size of its inputs: "n3" is 3.
Graph with_symbols(const Case& one) {
  Graph graph = graph_of(one);
  for (ValueId id : graph.inputs)
    for (Dim& dim : *graph.value(id).type.dims) dim = Dim("n" + std::to_string(dim.size));
  infer_types(graph, graph.nodes[0]);
  return graph;
}

// What a dimension is when the symbols have their sizes; -1 if it is not known.
int64_t size_of_dim(const Dim& dim) {
  if (dim.symbol.empty()) return dim.size;
  return testing::DimValue(dim.symbol, [](const std::string& symbol) { return std::stoll(symbol.substr(1)); }).value();
}

// With open shapes the rule may say less, never something else; with symbols it may say an expression, whose value is right.
void expect_sound_shapes(const Case& one, const Graph& open) {
  const Graph fixed = graph_of(one);
  for (size_t o = 0; o < open.outputs.size(); ++o) {
    const TensorType &loose = open.value(open.outputs[o]).type, &tight = fixed.value(fixed.outputs[o]).type;
    EXPECT_EQ(name(loose.dtype), name(tight.dtype));
    if (!loose.dims || !tight.dims) continue;
    ASSERT_EQ(loose.dims->size(), tight.dims->size());
    for (size_t a = 0; a < loose.dims->size(); ++a) {
      const Dim &x = (*loose.dims)[a], &y = (*tight.dims)[a];
      EXPECT_TRUE(x == Dim() || !y.known() || size_of_dim(x) == y.size) << "axis " << a << ": " << to_string({x}) << " against " << y.size;
    }
  }
}

// The same bits for any team and whatever was in the memory before: all of the output is written, and nothing else.
void expect_the_same_bits_for_any_team(const Case& one) {
  if (is_view(definition(one)) || definition(one).stateful) return;
  const std::vector<Tensor> single = run_kernel(one, 1, std::byte{0}, nullptr);
  for (int threads = 1; threads <= 3; ++threads)
    EXPECT_EQ(difference(run_kernel(one, threads, std::byte{0xFF}, nullptr), single), "") << threads << " threads";
  EXPECT_EQ(difference(run(graph_of(one), fed_inputs(one), 2), single), "") << "by the executor";
}

void expect_the_same_bits_in_place(const Case& one) {
  const OpDef& def = definition(one);
  if (is_view(def) || def.stateful) return;
  const std::vector<Tensor> apart = run_kernel(one, 1, std::byte{0}, nullptr);
  for (const Alias& alias : def.aliases) {
    if (alias.kind != AliasKind::kMay || alias.input >= static_cast<int>(one.inputs.size()) || alias.output >= one.outputs)
      continue;
    const Tensor& input = one.inputs[static_cast<size_t>(alias.input)];
    const Tensor& output = apart[static_cast<size_t>(alias.output)];
    if (!input || input.bytes() != output.bytes() || !(input.shape() == output.shape())) continue;
    EXPECT_EQ(difference(run_kernel(one, 2, std::byte{0}, &alias), apart), "") << "input " << alias.input;
  }
}

void expect_to_survive_onnx(const Case& one) {
  if (!one.round_trip || definition(one).domain == "tandem" || definition(one).stateful) return;
  if (definition(one).domain.empty() && definition(one).since > kOnnxOpset) return;  // newer than what is written
  const Graph graph = graph_of(one);
  const Graph again = parse_onnx(serialize_onnx(graph));
  EXPECT_EQ(difference(run(again, fed_inputs(one)), run(graph, fed_inputs(one))), "");
}

// The first `to` of every axis of `from`.
Tensor cut(const Tensor& x, int64_t from, int64_t to) {
  Shape shape;
  for (int64_t size : x.shape().dims()) shape.push_back(size == from ? to : size);
  Tensor y(x.dtype(), shape);
  const size_t bytes = size_of(x.dtype());
  const auto strides = dense_strides(x.shape());
  for (int64_t i = 0; i < y.elements(); ++i) {
    int64_t left = i, at = 0;
    for (int a = shape.rank() - 1; a >= 0; --a) at += left % shape[a] * strides[static_cast<size_t>(a)], left /= shape[a];
    std::copy_n(x.view().data + static_cast<size_t>(at) * bytes, bytes, y.view().data + static_cast<size_t>(i) * bytes);
  }
  return y;
}

// In a session planned for the sizes of the case: smaller ones, which need no more memory than the plan has, give what a plan of their
// own gives. Sizes that the op refuses alone say nothing.
void expect_smaller_sizes_in_a_session(const Case& one) {
  if (definition(one).domain == "tandem") return;  // takes what only sizes that fit each other can be
  const Graph graph = graph_of(one, false);
  const std::vector<Tensor> inputs = fed_inputs(one);
  std::set<int64_t> sizes;
  for (const Tensor& input : inputs) {
    if (input.dtype() == DType::kString || input.elements() > 100'000) return;
    for (int64_t size : input.shape().dims())
      if (size > 1) sizes.insert(size);
  }
  if (one.op == "Attention" && inputs[0].shape().rank() == 4)  // heads are as many in every run
    for (size_t i : {0, 1}) sizes.erase(inputs[i].shape()[1]);
  for (int64_t size : sizes)
    for (int64_t smaller : std::set<int64_t>{1, size - 1}) {
      std::vector<Tensor> few;
      for (const Tensor& input : inputs) few.push_back(cut(input, size, smaller));
      std::vector<Tensor> own;
      try {
        own = run(graph, few);
      } catch (const Error&) {
        continue;
      }
      SCOPED_TRACE("sizes of " + std::to_string(size) + " are " + std::to_string(smaller));
      const std::vector<Tensor> planned = run_within(graph, inputs, few);
      ASSERT_EQ(planned.size(), own.size());
      for (size_t o = 0; o < own.size(); ++o) expect_close(planned[o], own[o], 1e-4, 1e-4);
    }
}

class Conformance : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const char* forced = std::getenv("TANDEM_ISA");
    if (forced == nullptr || *forced == '\0') return;
    bool available = false;
    for (cpu::Isa isa : cpu::available_isas()) available = available || cpu::name(isa) == forced;
    if (!available) GTEST_SKIP() << "this machine has no " << forced;
  }
};

TEST_P(Conformance, Holds) {
  const Case& one = GetParam();
  expect_the_reference(one);
  expect_sound_shapes(one, graph_of(one, false));
  expect_sound_shapes(one, with_symbols(one));
  expect_the_same_bits_for_any_team(one);
  expect_the_same_bits_in_place(one);
  expect_smaller_sizes_in_a_session(one);
  if (has_gradient_check(one)) {
    EXPECT_EQ(check_gradient(one), "");
  }
  expect_to_survive_onnx(one);
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  std::string text = version_name(definition(info.param)) + "_" + info.param.what + "_" + std::to_string(info.index);
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return text;
}

INSTANTIATE_TEST_SUITE_P(Ops, Conformance, ::testing::ValuesIn(all_cases()), test_name);

// What only works in a group of ranks, or across steps, is tested with its machinery; what takes or makes sequences and optional
// values in tests/runtime/ops/sequence_test.cpp; what has bodies in tests/runtime/exec/dynamic_steps_test.cpp.
const std::set<std::string> kTestedElsewhere = {"tandem.AllReduceStart-1",
                                                "tandem.AllReduceWait-1",
                                                "SequenceConstruct-11",
                                                "SequenceEmpty-11",
                                                "SequenceInsert-11",
                                                "SequenceErase-11",
                                                "SequenceAt-11",
                                                "SequenceLength-11",
                                                "SequenceMap-17",
                                                "SplitToSequence-11",
                                                "ConcatFromSequence-11",
                                                "Optional-15",
                                                "If-1",
                                                "Loop-1",
                                                "Scan-8",
                                                "Scan-9",
                                                "OptionalGetElement-15",
                                                "OptionalHasElement-15"};

TEST(AllOps, HaveCases) {
  std::set<std::string> covered = kTestedElsewhere;
  for (const Case& one : all_cases()) covered.insert(version_name(definition(one)));
  for (const OpDef* def : all_ops())
    EXPECT_THAT(covered, ::testing::Contains(version_name(*def))) << "no case in tests/conformance/cases";
}

TEST(AllOps, HaveAGradientCheckIfTheyHaveAGradient) {
  std::set<std::string> covered = kTestedElsewhere;
  for (const Case& one : all_cases())
    if (has_gradient_check(one)) covered.insert(version_name(definition(one)));
  for (const OpDef* def : all_ops()) {
    if (def->gradient == nullptr) continue;
    EXPECT_THAT(covered, ::testing::Contains(version_name(*def))) << "every case of it says gradient = false";
  }
}

}  // namespace

}  // namespace tandem::conformance
