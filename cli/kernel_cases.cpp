#include "cli/kernel_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem::cli {
namespace {

// Operands are functions of their index, so that a reference needs no copy of them: uniform in [-1, 1) (splitmix64's finalizer).
double noise(uint64_t seed, int64_t index) {
  uint64_t z = (seed << 40) + static_cast<uint64_t>(index) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>(static_cast<int32_t>((z ^ (z >> 31)) >> 32)) * 0x1p-31;
}
// In [-127, 127], and in [-8, 7].
int byte_noise(uint64_t seed, int64_t index) { return static_cast<int>(std::lround(noise(seed, index) * 127)); }
int nibble_noise(uint64_t seed, int64_t index) { return static_cast<int>(std::floor(noise(seed, index) * 8)); }

constexpr uint64_t kInput = 1, kSecondInput = 2, kThirdInput = 3, kWeights = 16;  // seeds; weights have one each

template <class T>
Tensor filled(DType dtype, const Shape& shape, auto&& value_at) {
  Tensor tensor = Tensor::unfilled(dtype, shape);
  const auto values = tensor.as<T>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(value_at(static_cast<int64_t>(i)));
  return tensor;
}
Tensor floats(const Shape& shape, uint64_t seed) {
  return filled<float>(DType::kF32, shape, [&](int64_t i) { return static_cast<float>(noise(seed, i)); });
}

double product(const std::vector<int64_t>& sizes) {
  double all = 1;
  for (const int64_t size : sizes) all *= static_cast<double>(size);
  return all;
}

// A graph in the making.
struct Maker {
  KernelSubject subject;

  ValueId input(const std::string& name, Tensor tensor) {
    const ValueId id = subject.graph.add_input(name, tensor.dtype(), to_dims(tensor.shape()));
    subject.feed.emplace(name, std::move(tensor));
    return id;
  }
  ValueId constant(const std::string& name, Tensor tensor) { return subject.graph.add_constant(subject.graph.unique_name(name), std::move(tensor)); }
  ValueId node(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}, std::string_view domain = "", std::string name = "") {
    return subject.graph.add_node(newest_op(op, domain), std::move(inputs), 1, std::move(attributes), std::move(name))[0];
  }
  // The one to be timed.
  ValueId kernel(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}, std::string_view domain = "") {
    return node(op, std::move(inputs), std::move(attributes), domain, kTimedNode);
  }
  void output(ValueId id) { subject.graph.outputs.push_back(id); }
};

// The two operands of a sum of products in one of the types, by their indices, and what becomes of the sum. Bytes are as onnxruntime's
// quantizer writes them: DequantizeLinear of u8 (zero point 128) and of s8 by channel before the op, QuantizeLinear after it.
struct Operands {
  std::string type;
  int64_t terms;  // of a sum

  static constexpr double kStep = 1.0 / 127;
  bool bytes() const { return type == "int8"; }
  double result_step() const { return std::sqrt(static_cast<double>(terms)) * 4 / 3 * kStep; }  // four standard deviations in 127 steps
  double bytes_of_weight() const { return type == "int4" ? 0.5 + 4.0 / 32 : bytes() ? 1 : type == "bf16" ? 2 : 4; }
  double bytes_of_value() const { return bytes() ? 1 : 4; }

  double input_at(int64_t index) const { return bytes() ? byte_noise(kInput, index) * kStep : static_cast<float>(noise(kInput, index)); }
  double weight_at(size_t which, int64_t index) const {
    const uint64_t seed = kWeights + which;
    if (type == "int4") return nibble_noise(seed, index) / 8.0;
    return bytes() ? byte_noise(seed, index) * kStep : static_cast<float>(noise(seed, index));
  }
  ValueId input(Maker& maker, const Shape& shape) const {
    if (!bytes()) return maker.input("x", floats(shape, kInput));
    const ValueId x = maker.input("x", filled<uint8_t>(DType::kU8, shape, [](int64_t i) { return byte_noise(kInput, i) + 128; }));
    return maker.node("DequantizeLinear", {x, step(maker, kStep), zero(maker)});
  }
  // Numbers of the input's step, through bytes.
  ValueId requantized(Maker& maker, ValueId x) const {
    const ValueId bytes = maker.node("QuantizeLinear", {x, step(maker, kStep), zero(maker)});
    return maker.node("DequantizeLinear", {bytes, step(maker, kStep), zero(maker)});
  }
  // `channels`: the axis of the filters, for a step of each.
  ValueId weights(Maker& maker, size_t which, const Shape& shape, int64_t channels) const {
    const uint64_t seed = kWeights + which;
    if (!bytes()) return maker.constant("w", floats(shape, seed));
    const ValueId w = maker.constant("w", filled<int8_t>(DType::kI8, shape, [&](int64_t i) { return byte_noise(seed, i); }));
    const Shape filters = {shape[static_cast<size_t>(channels)]};
    const ValueId steps = maker.constant("w_step", filled<float>(DType::kF32, filters, [](int64_t) { return static_cast<float>(kStep); }));
    return maker.node("DequantizeLinear", {w, steps}, {{"axis", channels}});
  }
  void output(Maker& maker, ValueId y) const {
    maker.output(bytes() ? maker.node("QuantizeLinear", {y, step(maker, result_step()), zero(maker)}) : y);
  }
  // `squares`: the sum of the squares of its terms. Errors add up as random ones do; bounds are eight standard deviations and more.
  Expected expected(double sum, double squares) const {
    if (bytes()) return {std::clamp(sum / result_step() + 128, 0.0, 255.0), 0.51};                    // rounded to a whole number
    if (type == "bf16") return {sum, 0x1p-6 * std::sqrt(squares) + 0x1p-8 * std::abs(sum)};             // operands and result rounded to 8 bits
    return {sum, 1e-6 * std::sqrt(squares * static_cast<double>(terms))};                              // sums of 24 bits, in any order
  }

 private:
  static ValueId step(Maker& maker, double value) { return maker.constant("step", Tensor::scalar(static_cast<float>(value))); }
  static ValueId zero(Maker& maker) { return maker.constant("zero", Tensor::scalar(uint8_t{128})); }
};

// MatMulNBits' weights: filter by filter, blocks of 32, the low half of a byte first.
ValueId product_of_nibbles(Maker& maker, ValueId x, size_t which, int64_t terms, int64_t columns) {
  constexpr int64_t kBlock = 32;
  const uint64_t seed = kWeights + which;
  const auto stored = [&](int64_t byte, int64_t half) {  // index: terms x columns, as everywhere here
    const int64_t column = byte / (terms / 2), k = byte % (terms / 2) * 2 + half;
    return nibble_noise(seed, k * columns + column) + 8;
  };
  const Shape shape = {columns, terms / kBlock, kBlock / 2};
  const ValueId w = maker.constant("w", filled<uint8_t>(DType::kU8, shape, [&](int64_t i) { return stored(i, 0) | stored(i, 1) << 4; }));
  const ValueId steps = maker.constant("steps", filled<float>(DType::kF32, {columns * terms / kBlock}, [](int64_t) { return 1.0f / 8; }));
  return maker.kernel("MatMulNBits", {x, w, steps}, {{"K", terms}, {"N", columns}, {"bits", int64_t{4}}, {"block_size", kBlock}}, "com.microsoft");
}

// [rows, terms] by `count` matrices [terms, columns].
KernelCase matmul(int64_t rows, int64_t terms, int64_t columns, size_t count, const std::string& type) {
  const Operands operands{type, terms};
  const double weights = product({terms, columns}) * static_cast<double>(count), results = product({rows, columns}) * static_cast<double>(count);
  return {.name = count == 1 ? fmt::format("MatMul {} x {} x {}", rows, terms, columns) : fmt::format("MatMul {} x {} x {}, {} of them", rows, terms, columns, count),
          .type = type,
          .operations = 2 * weights * static_cast<double>(rows),
          .bytes = weights * operands.bytes_of_weight() + (product({rows, terms}) + results) * operands.bytes_of_value(),
          .make = [=] {
            Maker maker;
            const ValueId x = operands.input(maker, {rows, terms});
            for (size_t i = 0; i < count; ++i)
              operands.output(maker, type == "int4" ? product_of_nibbles(maker, x, i, terms, columns)
                                                    : maker.kernel("MatMul", {x, operands.weights(maker, i, {terms, columns}, 1)}));
            maker.subject.expected = [=](size_t output, int64_t element) {
              const int64_t row = element / columns, column = element % columns;
              double sum = 0, squares = 0;
              for (int64_t k = 0; k < terms; ++k) {
                const double term = operands.input_at(row * terms + k) * operands.weight_at(output, k * columns + column);
                sum += term, squares += term * term;
              }
              return operands.expected(sum, squares);
            };
            return std::move(maker.subject);
          }};
}

// As many matrices as fill 192 MiB in f32, more than caches hold.
KernelCase rows_from_memory(int64_t rows, int64_t width, const std::string& type) {
  return matmul(rows, width, width, static_cast<size_t>((192 << 20) / (4 * width * width)), type);
}

// Channels last are chosen for a network, not for a layer: so there is one before, which changes nothing, 3x3 filters with 1 in their middle.
ValueId layer_before(Maker& maker, const Operands& operands, ValueId x, int64_t channels) {
  const auto middle = [](int64_t i) { return i % 9 == 4 ? 1 : 0; };
  const Attributes attributes = {{"group", channels}, {"pads", std::vector<int64_t>(4, 1)}};
  const Shape shape = {channels, 1, 3, 3};
  if (!operands.bytes()) return maker.node("Conv", {x, maker.constant("middle", filled<float>(DType::kF32, shape, middle))}, attributes);
  const ValueId one = maker.constant("one", Tensor::scalar(1.0f));
  const ValueId w = maker.node("DequantizeLinear", {maker.constant("middle", filled<int8_t>(DType::kI8, shape, middle)), one});
  return operands.requantized(maker, maker.node("Conv", {x, w}, attributes));
}

struct ConvSizes {
  int64_t channels, size, filters, kernel, stride, groups;
};

KernelCase conv(const ConvSizes& s, const std::string& type) {
  const int64_t pad = s.kernel / 2, out = (s.size + 2 * pad - s.kernel) / s.stride + 1, depth = s.channels / s.groups;
  const Operands operands{type, depth * s.kernel * s.kernel};
  const double filters = product({s.filters, depth, s.kernel, s.kernel});
  return {.name = fmt::format("Conv {0}x{0} {1} to {2} at {3}x{3}{4}{5}", s.kernel, s.channels, s.filters, s.size, s.stride > 1 ? fmt::format(", stride {}", s.stride) : "",
                              s.groups > 1 ? fmt::format(", {} groups", s.groups) : ""),
          .type = type,
          .operations = 2 * filters * product({out, out}),
          .bytes = filters * operands.bytes_of_weight() + (product({s.channels, s.size, s.size}) + product({s.filters, out, out})) * operands.bytes_of_value(),
          .make = [=] {
            Maker maker;
            const ValueId x = layer_before(maker, operands, operands.input(maker, {1, s.channels, s.size, s.size}), s.channels);
            const ValueId w = operands.weights(maker, 0, {s.filters, depth, s.kernel, s.kernel}, 0);
            using Integers = std::vector<int64_t>;
            operands.output(maker, maker.kernel("Conv", {x, w}, {{"group", s.groups}, {"strides", Integers{s.stride, s.stride}}, {"pads", Integers(4, pad)}}));
            maker.subject.expected = [=](size_t, int64_t element) {
              const int64_t filter = element / (out * out), top = element / out % out * s.stride - pad, left = element % out * s.stride - pad;
              const int64_t first = filter / (s.filters / s.groups) * depth;
              double sum = 0, squares = 0;
              for (int64_t c = 0; c < depth; ++c)
                for (int64_t i = 0; i < s.kernel; ++i)
                  for (int64_t j = 0; j < s.kernel; ++j) {
                    const int64_t y = top + i, x = left + j;
                    if (y < 0 || y >= s.size || x < 0 || x >= s.size) continue;
                    const double term = operands.input_at(((first + c) * s.size + y) * s.size + x) *
                                        operands.weight_at(0, ((filter * depth + c) * s.kernel + i) * s.kernel + j);
                    sum += term, squares += term * term;
                  }
              return operands.expected(sum, squares);
            };
            return std::move(maker.subject);
          }};
}

// ONNX Attention of `queries` words that see `words`; 12 heads of 64.
KernelCase attention(int64_t queries, int64_t words) {
  constexpr int64_t kHeads = 12, kWidth = 64;
  return {.name = fmt::format("Attention {} words of {}, 12 heads of 64", queries, words),
          .type = "f32",
          .operations = 4 * product({kHeads, queries, words, kWidth}),
          .bytes = 4 * product({kHeads, 2 * (queries + words), kWidth}),
          .make = [=] {
            Maker maker;
            const ValueId q = maker.input("q", floats({1, kHeads, queries, kWidth}, kInput));
            const ValueId k = maker.input("k", floats({1, kHeads, words, kWidth}, kSecondInput));
            const ValueId v = maker.input("v", floats({1, kHeads, words, kWidth}, kThirdInput));
            maker.output(maker.kernel("Attention", {q, k, v}));
            maker.subject.expected = [=](size_t, int64_t element) {
              const int64_t column = element % kWidth, row = element / kWidth, head = row / queries;
              double weights = 0, sum = 0;
              for (int64_t word = 0; word < words; ++word) {
                double score = 0;
                const int64_t key = (head * words + word) * kWidth;
                for (int64_t i = 0; i < kWidth; ++i) score += noise(kInput, row * kWidth + i) * noise(kSecondInput, key + i);
                const double weight = std::exp(score / std::sqrt(static_cast<double>(kWidth)));
                weights += weight, sum += weight * noise(kThirdInput, key + column);
              }
              return Expected{sum / weights, 1e-5};
            };
            return std::move(maker.subject);
          }};
}

// An op on rows of 768 numbers, 16 MiB of them; `expected` is given the row and its element.
KernelCase rows(const std::string& op, Attributes attributes, int operands, std::function<Expected(int64_t row, int64_t column)> expected) {
  constexpr int64_t kRows = 5461, kWidth = 768;
  const bool normalizes = op == "LayerNormalization";
  return {.name = fmt::format("{} {} x {}", op, kRows, kWidth),
          .type = "f32",
          .bytes = 4 * product({kRows, kWidth}) * (1 + operands),
          .make = [=] {
            Maker maker;
            std::vector<ValueId> inputs;
            for (int i = 0; i < operands; ++i) inputs.push_back(maker.input(std::string(1, static_cast<char>('a' + i)), floats({kRows, kWidth}, kInput + static_cast<uint64_t>(i))));
            if (normalizes) inputs.push_back(maker.constant("scale", floats({kWidth}, kWeights)));
            maker.output(maker.kernel(op, inputs, attributes));
            maker.subject.expected = [=](size_t, int64_t element) { return expected(element / kWidth, element % kWidth); };
            return std::move(maker.subject);
          }};
}

std::vector<KernelCase> row_cases() {
  constexpr int64_t kWidth = 768;
  const auto at = [](int64_t row, int64_t column) { return static_cast<double>(static_cast<float>(noise(kInput, row * kWidth + column))); };
  const auto within = [](double value) { return Expected{value, 4e-6 * std::max(1.0, std::abs(value))}; };
  return {
      rows("Add", {}, 2, [=](int64_t row, int64_t column) { return within(at(row, column) + noise(kSecondInput, row * kWidth + column)); }),
      rows("Exp", {}, 1, [=](int64_t row, int64_t column) { return within(std::exp(at(row, column))); }),
      rows("Gelu", {}, 1, [=](int64_t row, int64_t column) {
        const double x = at(row, column);
        return within(x * (1 + std::erf(x / std::sqrt(2.0))) / 2);
      }),
      rows("Softmax", {}, 1, [=](int64_t row, int64_t column) {
        double sum = 0;
        for (int64_t i = 0; i < kWidth; ++i) sum += std::exp(at(row, i));
        return within(std::exp(at(row, column)) / sum);
      }),
      rows("LayerNormalization", {}, 1, [=](int64_t row, int64_t column) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < kWidth; ++i) mean += at(row, i) / kWidth;
        for (int64_t i = 0; i < kWidth; ++i) variance += (at(row, i) - mean) * (at(row, i) - mean) / kWidth;
        return within((at(row, column) - mean) / std::sqrt(variance + 1e-5) * noise(kWeights, column));
      }),
  };
}

// Sums of `length` rows from anywhere in a table of 192 MiB, 131,072 rows in all.
KernelCase bags(int64_t length, int64_t width) {
  const int64_t count = (1 << 17) / length, rows = (192 << 20) / (4 * width);
  const auto word_at = [=](int64_t i) { return std::min(rows - 1, static_cast<int64_t>((noise(kInput, i) + 1) / 2 * static_cast<double>(rows))); };
  return {.name = fmt::format("EmbeddingBag {} of {} rows of {}", count, length, width),
          .type = "f32",
          .bytes = product({count, length, width}) * 4 + product({count, length}) * 8 + product({count, width}) * 4,
          .make = [=] {
            Maker maker;
            const ValueId words = maker.input("words", filled<int64_t>(DType::kI64, {count, length}, word_at));
            const ValueId gathered = maker.kernel("Gather", {maker.constant("table", floats({rows, width}, kWeights)), words});
            const ValueId axes = maker.constant("axes", Tensor::of<int64_t>({1}, std::vector<int64_t>{1}));
            maker.output(maker.kernel("ReduceSum", {gathered, axes}, {{"keepdims", int64_t{0}}}));
            maker.subject.expected = [=](size_t, int64_t element) {
              double sum = 0;
              for (int64_t i = 0; i < length; ++i)
                sum += static_cast<float>(noise(kWeights, word_at(element / width * length + i) * width + element % width));
              return Expected{sum, 1e-6 * static_cast<double>(length)};
            };
            return std::move(maker.subject);
          }};
}

}  // namespace

std::vector<KernelCase> kernel_cases() {
  constexpr std::array kTypes = {"f32", "bf16", "int8"};
  std::vector<KernelCase> cases;
  for (const int64_t n : {512, 1024, 2048, 4096})
    for (const std::string type : kTypes) cases.push_back(matmul(n, n, n, 1, type));
  for (const int64_t width : {768, 2048, 4096})
    for (const std::string type : {"f32", "bf16", "int8", "int4"}) cases.push_back(rows_from_memory(1, width, type));
  for (const std::string type : kTypes) cases.push_back(rows_from_memory(16, 768, type));
  constexpr ConvSizes kConvolutions[] = {
      {3, 224, 64, 7, 2, 1},   {64, 56, 64, 3, 1, 1},   {64, 56, 256, 1, 1, 1},  {256, 56, 64, 1, 1, 1}, {128, 28, 128, 3, 1, 1},
      {256, 14, 256, 3, 1, 1}, {1024, 14, 256, 1, 1, 1}, {512, 7, 512, 3, 1, 1},  {512, 7, 2048, 1, 1, 1},  // ResNet-50
      {96, 112, 96, 3, 2, 96}, {16, 112, 96, 1, 1, 1},   {384, 14, 384, 3, 1, 384},                         // MobileNetV2
  };
  for (const ConvSizes& sizes : kConvolutions)
    for (const std::string type : kTypes) cases.push_back(conv(sizes, type));
  cases.push_back(attention(128, 128));
  cases.push_back(attention(1, 512));
  for (const int64_t width : {64, 128})
    for (const int64_t length : {16, 64}) cases.push_back(bags(length, width));
  std::ranges::move(row_cases(), std::back_inserter(cases));
  return cases;
}

}  // namespace tandem::cli
