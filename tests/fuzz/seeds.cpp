#include "tests/fuzz/seeds.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "runtime/io/file.h"
#include "runtime/model/checksum.h"
#include "runtime/model/compiled_header.h"
#include "runtime/onnx/onnx.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/plan/compile.h"
#include "tests/runtime/onnx/wire.h"

namespace tandem::fuzz {
namespace {

using namespace testing;

Tensor ramp(const Shape& shape) {
  Tensor tensor(DType::kF32, shape);
  float next = -1;
  for (float& v : tensor.as<float>()) v = next += 0.125f;
  return tensor;
}

// Convolution, normalization, residual, activation, pooling, a dense layer: what fusions look for.
Graph vision() {
  Graph graph;
  graph.opsets = {{"", 17}};
  const auto op = [&](std::string_view name, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return graph.add_node(find_op("", name, 17), std::move(inputs), 1, std::move(attributes))[0];
  };
  const auto weight = [&](const Shape& shape) { return graph.add_constant("w", ramp(shape)); };
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2, 6, 6});
  ValueId y = op("Conv", {x, weight({2, 2, 3, 3})}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const ValueId variance = graph.add_constant("variance", Tensor::of<float>({2}, {1, 2}));
  y = op("BatchNormalization", {y, weight({2}), weight({2}), weight({2}), variance});
  y = op("Relu", {op("Add", {y, x})});
  y = op("MaxPool", {y}, {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
  const ValueId to = graph.add_constant("to", Tensor::of<int64_t>({2}, {0, -1}));
  graph.outputs = {op("Gemm", {op("Reshape", {y, to}), weight({18, 3}), weight({3})})};
  return graph;
}

// Products, transposes, softmax, GELU, slices and shapes taken apart: a transformer's pieces.
Graph language() {
  Graph graph;
  graph.opsets = {{"", 17}};
  const auto op = [&](std::string_view name, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return graph.add_node(find_op("", name, 17), std::move(inputs), 1, std::move(attributes))[0];
  };
  const auto weight = [&](const Shape& shape) { return graph.add_constant("w", ramp(shape)); };
  const auto number = [&](float value) { return graph.add_constant("n", Tensor::scalar(value)); };
  const auto ints = [&](std::vector<int64_t> values) {
    return graph.add_constant("i", Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  };
  const ValueId words = graph.add_input("words", DType::kI64, {"batch", "length"});
  const ValueId x = op("Gather", {weight({5, 4}), words});
  const ValueId q = op("MatMul", {x, weight({4, 4})}), k = op("MatMul", {x, weight({4, 4})}),
                v = op("MatMul", {x, weight({4, 4})});
  const ValueId scores =
      op("Div", {op("MatMul", {q, op("Transpose", {k}, {{"perm", std::vector<int64_t>{0, 2, 1}}})}), number(2)});
  const ValueId h = op("Add", {op("MatMul", {op("Softmax", {scores}, {{"axis", int64_t{-1}}}), v}), x});
  const ValueId n = op("LayerNormalization", {h, weight({4}), weight({4})});
  const ValueId gelu =
      op("Mul", {op("Mul", {n, op("Add", {op("Erf", {op("Div", {n, number(1.41421356f)})}), number(1)})}), number(0.5f)});
  const ValueId sizes =
      op("Concat", {op("Slice", {op("Shape", {words}), ints({0}), ints({1})}), ints({-1})}, {{"axis", int64_t{0}}});
  graph.outputs = {op("Reshape", {gelu, sizes}), op("Cast", {words}, {{"to", int64_t{1}}})};
  return graph;
}

std::string compiled(Graph graph) {
  run_passes(graph);
  const auto path = std::filesystem::temp_directory_path() / ("fuzz_seed_" + std::to_string(::getpid()) + ".tdm");
  compile(graph, {.default_bound = 2}, path, "seed.onnx");
  std::string bytes = read_file(path, 1 << 20);
  std::filesystem::remove(path);
  return bytes;
}

}  // namespace

std::vector<std::string> onnx_seeds() { return {serialize_onnx(vision()), serialize_onnx(language())}; }

std::vector<std::string> tensor_seeds() {
  const Wire plain = f32_tensor("t", {2, 2}, {1, 2, 3, 4}), raw = tensor_proto("r", 9, {2}).text(9, std::string("\0\1", 2)),
             text = tensor_proto("s", 8, {2}).text(6, "a").text(6, "bc"), packed = tensor_proto("p", 22, {3}).text(9, "\x21\x03");
  return {plain.bytes(),
          raw.bytes(),
          text.bytes(),
          packed.bytes(),
          Wire().text(1, "q").number(2, 1).message(3, plain).message(3, plain).bytes(),
          Wire().text(1, "o").number(2, 1).message(3, plain).bytes()};
}

std::vector<std::string> npy_seeds() {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  header.resize(117, ' ');
  return {std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n" + std::string(24, '\x3f')};
}

std::vector<std::string> compiled_seeds() { return {compiled(vision()), compiled(language())}; }

void sign_compiled(std::string& content) {
  static const std::string mine = compiled(language());
  if (content.size() < 256) return;
  content.replace(0, 80, mine, 0, 80);
  CompiledHeader header, own;
  std::memcpy(&header, content.data(), sizeof(header));
  std::memcpy(&own, mine.data(), sizeof(own));
  std::ranges::copy(own.build, header.build);
  const uint64_t source = header.source_bytes, record = header.record_bytes, list = header.list_bytes, room = content.size() - 256;
  header.file_bytes = content.size();
  if (source <= room && record <= room - source && list <= room - source - record)
    header.text_checksum = checksum(std::as_bytes(std::span(content)).subspan(256, source + record + list));
  content.replace(0, 256, to_bytes(header));
}

}  // namespace tandem::fuzz
