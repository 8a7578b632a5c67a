// A valid model, damaged in every place: an Error or a graph that verifies, never a crash. Run under ASan and UBSan in CI.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "runtime/onnx/onnx.h"
#include "tests/runtime/onnx/wire.h"

namespace tandem {
namespace {

using namespace testing;

// Small, and with something of everything: symbols, typed and raw data, strings, attributes, a Constant, absent inputs, metadata.
std::string small_model() {
  const Wire gemm = node_proto("Gemm", {"x", "w"}, {"h"}, "fc").message(5, Wire().text(1, "transB").number(3, 1).number(20, 2));
  const Wire constant = node_proto("Constant", {}, {"most"}).message(5, Wire().text(1, "value_float").f32(2, 6).number(20, 1));
  const Wire shape =
      node_proto("Constant", {}, {"to"}).message(5, Wire().text(1, "value_ints").number(8, -1).number(8, 1).number(20, 7));
  Wire graph;
  graph.text(2, "g")
      .message(kInputField, value_info("x", 1, {-1, 2}))
      .message(kInitializerField, f32_tensor("w", {1, 2}, {1, 2}))
      .message(kInitializerField, tensor_proto("s", 8, {1}).text(6, "ab"))
      .message(kInitializerField, tensor_proto("r", 9, {2}).text(9, std::string("\0\1", 2)))
      .message(kNodeField, constant)
      .message(kNodeField, shape)
      .message(kNodeField, gemm)
      .message(kNodeField, node_proto("Clip", {"h", "", "most"}, {"c"}))
      .message(kNodeField, node_proto("Reshape", {"c", "to"}, {"y"}))
      .message(kOutputField, value_info("y", 1, {-1, 1}))
      .message(kOutputField, value_info("s", 8, {1}));
  return model_proto(graph) + Wire().message(14, Wire().text(1, "k").text(2, "v")).bytes();
}

// What stands for other things: functions that call each other, parameters, bodies that see names around them, sparse tensors, defaults.
std::string nested_model() {
  const Wire opsets = Wire().text(1, "").number(2, 13), local = Wire().text(1, "f").number(2, 1);
  const auto attribute = [](std::string_view name, int type) { return Wire().text(1, name).number(20, type); };
  const Wire constant = node_proto("Constant", {}, {"k"}).message(5, attribute("value_float", 1).text(21, "by"));
  const Wire scale = Wire().text(1, "Scale").text(4, "a").text(5, "b").text(6, "by").message(7, constant)
                         .message(7, node_proto("Mul", {"a", "k"}, {"b"})).message(9, opsets).text(10, "f");
  const Wire call = node_proto("Scale", {"a"}, {"b"}, "", "f").message(5, attribute("by", 1).text(21, "by"));
  const Wire twice = Wire().text(1, "Twice").text(4, "a").text(5, "c").message(11, attribute("by", 1).f32(2, 3))
                         .message(7, call).message(7, node_proto("Add", {"b", "b"}, {"c"})).message(9, opsets).message(9, local).text(10, "f");
  const auto body = [&](std::string_view op) {
    return Wire().text(2, "body").message(kNodeField, node_proto(op, {"x"}, {"r"}, "", op == "Twice" ? "f" : "")).message(kOutputField, Wire().text(1, "r"));
  };
  const Wire branches = node_proto("If", {"c"}, {"t"}).message(5, attribute("then_branch", 5).message(6, body("Twice")))
                            .message(5, attribute("else_branch", 5).message(6, body("Neg")));
  const Wire sparse = Wire().message(1, f32_tensor("w", {1}, {5})).message(2, tensor_proto("i", 7, {1}).number(7, 1)).number(3, 2);
  const Wire graph = Wire().text(2, "g").message(kInputField, value_info("x", 1, {-1, 2})).message(kInputField, value_info("w", 1, {2}))
                         .message(kInputField, value_info("c", 9, {})).message(15, sparse).message(kNodeField, branches)
                         .message(kNodeField, node_proto("Add", {"t", "w"}, {"y"})).message(kOutputField, value_info("y", 1, {-1, 2}));
  return model_proto(graph) + Wire().message(8, local).message(25, scale).message(25, twice).bytes();
}

// Counts those that were still read.
int survives(const std::string& bytes) {
  try {
    const Graph graph = parse_onnx(bytes);
    verify(graph);
    to_text(graph);
    return 1;
  } catch (const Error&) {
    return 0;
  }
}

class OnnxDamage : public ::testing::TestWithParam<std::string (*)()> {};
INSTANTIATE_TEST_SUITE_P(, OnnxDamage, ::testing::Values(small_model, nested_model), [](const auto& test) { return test.index ? "Nested" : "Small"; });

TEST_P(OnnxDamage, EveryTruncation) {
  const std::string model = GetParam()();
  ASSERT_EQ(survives(model), 1);
  int read = 0;
  for (size_t length = 0; length < model.size(); ++length) read += survives(model.substr(0, length));
  EXPECT_LT(read, 3);  // only where a whole trailing field is gone
}

TEST_P(OnnxDamage, EveryValueOfEveryByte) {
  const std::string model = GetParam()();
  const int step = model.size() > 500 ? 4 : 1;
  int refused = 0;
  for (size_t i = 0; i < model.size(); ++i)
    for (int value = static_cast<int>(i) % step; value < 256; value += step) {
      std::string damaged = model;
      damaged[i] = static_cast<char>(value);
      refused += 1 - survives(damaged);
    }
  EXPECT_GT(refused, static_cast<int>(model.size()) * 64 / step);
}

TEST_P(OnnxDamage, EveryByteTakenOutOrThereTwice) {
  const std::string model = GetParam()();
  for (size_t i = 0; i < model.size(); ++i) {
    survives(std::string(model).erase(i, 1));
    survives(std::string(model).insert(i, 1, model[i]));
  }
}

// Several faults at once: bytes changed, pieces taken out, repeated and exchanged.
TEST_P(OnnxDamage, TenThousandRandomWrecks) {
  const std::string model = GetParam()();
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int round = 0; round < 10'000; ++round) {
    std::string damaged = model;
    for (size_t fault = 0, faults = 1 + below(6); fault < faults; ++fault) {
      const size_t at = below(damaged.size()), length = 1 + below(std::min<size_t>(16, damaged.size() - at));
      const std::string piece = damaged.substr(at, length);
      switch (below(4)) {
        case 0: damaged[at] = static_cast<char>(below(256)); break;
        case 1: damaged.insert(below(damaged.size()), piece); break;
        case 2: damaged.replace(below(damaged.size() - length + 1), length, piece); break;
        case 3:
          if (length < damaged.size()) damaged.erase(at, length);
          break;
      }
    }
    survives(damaged);
  }
}

}  // namespace
}  // namespace tandem
