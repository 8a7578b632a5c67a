// Quantization and its inverse; products and convolutions of 8-bit integers; ops between dequantized operands and a quantized
// result.
#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

int64_t code(DType type) { return static_cast<int64_t>(type); }

// Whole numbers in [low, high] of a type.
Tensor whole(DType type, const Shape& shape, int low, int high, uint64_t seed) {
  std::vector<double> values = numbers(uniform(shape, low, high + 1, seed));
  for (double& v : values) v = std::min(std::floor(v), static_cast<double>(high));
  return as(type, f64(shape, values));
}
Tensor u8(const Shape& shape, uint64_t seed = 1) { return whole(DType::kU8, shape, 0, 255, seed); }
Tensor i8(const Shape& shape, uint64_t seed = 1) { return whole(DType::kI8, shape, -128, 127, seed); }
Tensor scalar_of(DType type, double value) { return as(type, f64({}, {value})); }

struct Range {
  DType type;
  double low, high;
};
constexpr Range kIntegers[] = {{DType::kU8, 0, 255},         {DType::kI8, -128, 127}, {DType::kU16, 0, 65535},
                               {DType::kI16, -32768, 32767}, {DType::kU4, 0, 15},     {DType::kI4, -8, 7},
                               {DType::kU2, 0, 3},           {DType::kI2, -2, 1}};

// The index of the scale for each element of a shape.
using ScaleIndex = std::function<size_t(size_t)>;

Reference quantized_to(Range range, ScaleIndex index) {
  return [=](const std::vector<Tensor>& inputs) {
    std::vector<double> x = numbers(inputs[0]), scale = numbers(inputs[1]),
                        zero = inputs.size() > 2 ? numbers(inputs[2]) : std::vector<double>(scale.size());
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = std::clamp(std::nearbyint(x[i] / scale[index(i)]) + zero[index(i)], range.low, range.high);
    return std::vector{f64(inputs[0].shape(), x)};
  };
}
Reference dequantized_by(ScaleIndex index) {
  return [=](const std::vector<Tensor>& inputs) {
    std::vector<double> x = numbers(inputs[0]), scale = numbers(inputs[1]),
                        zero = inputs.size() > 2 ? numbers(inputs[2]) : std::vector<double>(scale.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = (x[i] - zero[index(i)]) * scale[index(i)];
    return std::vector{f64(inputs[0].shape(), x)};
  };
}

// Multiples of 1/8, so that ties occur and division by a power of two is exact.
Tensor eighths(const Shape& shape, double limit) {
  std::vector<double> values = numbers(uniform(shape, -limit, limit));
  for (double& v : values) v = std::floor(v * 8) / 8;
  return as(DType::kF32, f64(shape, values));
}

void add_quantize(Cases& cases) {
  const ScaleIndex one = [](size_t) { return size_t{0}; }, row = [](size_t i) { return i / 7 % 3; },
                   last = [](size_t i) { return i % 7; };
  for (const Range& range : kIntegers)
    cases.push_back({.op = "QuantizeLinear",
                     .what = std::string(name(range.type)),
                     .inputs = {eighths({5, 7}, std::min(400.0, 2 * range.high)), f32({}, {0.5f}), scalar_of(range.type, 1)},
                     .reference = quantized_to(range, one)});
  cases.push_back({.op = "QuantizeLinear",
                   .what = "no zero point, a large one",
                   .inputs = {eighths({3, 20001}, 200), f32({1}, {1})},
                   .reference = quantized_to(kIntegers[0], one)});
  cases.push_back({.op = "QuantizeLinear",
                   .what = "an axis inside",
                   .inputs = {eighths({2, 3, 7}, 99), f32({3}, {0.25f, 1, 2}), as(DType::kI8, f64({3}, {-5, 0, 9}))},
                   .reference = quantized_to(kIntegers[1], row)});
  cases.push_back(
      {.op = "QuantizeLinear",
       .what = "the last axis",
       .inputs = {eighths({3, 7}, 99), f32({7}, {0.25f, 1, 2, 4, 0.5f, 1, 8}), as(DType::kU8, f64({7}, {5, 0, 9, 200, 1, 2, 3}))},
       .attributes = {{"axis", int64_t{-1}}},
       .reference = quantized_to(kIntegers[0], last)});
  cases.push_back({.op = "QuantizeLinear",
                   .what = "blocks on the last axis",
                   .inputs = {eighths({3, 7}, 9), f32({3, 3}, {0.25f, 1, 2, 4, 0.5f, 1, 8, 2, 1})},
                   .attributes = {{"axis", int64_t{1}}, {"block_size", int64_t{3}}, {"output_dtype", code(DType::kI4)}},
                   .reference = quantized_to(kIntegers[5], [](size_t i) { return i / 7 * 3 + i % 7 / 3; })});
  cases.push_back({.op = "QuantizeLinear",
                   .what = "blocks on the first axis",
                   .inputs = {eighths({3, 2}, 9), f32({2, 2}, {0.25f, 1, 2, 4})},
                   .attributes = {{"axis", int64_t{0}}, {"block_size", int64_t{2}}, {"output_dtype", code(DType::kI16)}},
                   .reference = quantized_to(kIntegers[3], [](size_t i) { return i / 4 * 2 + i % 2; })});
  cases.push_back({.op = "QuantizeLinear",
                   .what = "float8",
                   .inputs = {f32({4}, {1, 2.25f, -1e5f, 0.3f}), f32({}, {2})},
                   .attributes = {{"output_dtype", code(DType::kF8E4M3FN)}},
                   .reference = fixed(f64({4}, {0.5, 1.125, -448, 0.15625}))});
  cases.push_back({.op = "QuantizeLinear",
                   .what = "i32 in halves",
                   .inputs = {as(DType::kI32, f64({3}, {5, -7, 90})), as(DType::kF16, f32({}, {2}))},
                   .attributes = {{"output_dtype", code(DType::kI8)}},
                   .reference = fixed(f64({3}, {2, -4, 45}))});
  cases.push_back(
      {.op = "QuantizeLinear", .what = "empty", .inputs = {f32({0, 3}, {}), f32({}, {2})}, .reference = fixed(f64({0, 3}, {}))});
}

void add_dequantize(Cases& cases) {
  const ScaleIndex one = [](size_t) { return size_t{0}; };
  for (const Range& range : kIntegers)
    cases.push_back({.op = "DequantizeLinear",
                     .what = std::string(name(range.type)),
                     .inputs = {whole(range.type, {5, 7}, static_cast<int>(range.low), static_cast<int>(range.high), 3),
                                f32({}, {0.37f}), scalar_of(range.type, 1)},
                     .reference = dequantized_by(one)});
  cases.push_back({.op = "DequantizeLinear",
                   .what = "i32, a large one",
                   .inputs = {whole(DType::kI32, {3, 20001}, -99999, 99999, 1), f32({1}, {0.25f})},
                   .reference = dequantized_by(one)});
  cases.push_back({.op = "DequantizeLinear",
                   .what = "an axis",
                   .inputs = {u8({2, 3, 7}), f32({3}, {0.25f, 1, 2}), u8({3}, 9)},
                   .reference = dequantized_by([](size_t i) { return i / 7 % 3; })});
  cases.push_back({.op = "DequantizeLinear",
                   .what = "blocks",
                   .inputs = {i8({3, 7}), uniform({3, 3}, 0.1, 2), i8({3, 3}, 8)},
                   .attributes = {{"block_size", int64_t{3}}},
                   .reference = dequantized_by([](size_t i) { return i / 7 * 3 + i % 7 / 3; })});
  cases.push_back({.op = "DequantizeLinear",
                   .what = "float8 to f16",
                   .inputs = {as(DType::kF8E5M2, f64({3}, {1, -3, 0.5})), f32({}, {2})},
                   .attributes = {{"output_dtype", code(DType::kF16)}},
                   .reference = fixed(f64({3}, {2, -6, 1}))});
  cases.push_back({.op = "DynamicQuantizeLinear",
                   .inputs = {f32({6}, {0, 2, -3, -2.5f, 1.34f, 0.5f})},
                   .outputs = 3,
                   .reference = [](const std::vector<Tensor>&) {
                     return std::vector{f64({6}, {153, 255, 0, 26, 221, 179}), f64({}, {0.0196078438}), f64({}, {153})};
                   }});
  cases.push_back({.op = "DynamicQuantizeLinear",
                   .what = "zeros",
                   .inputs = {f32({2}, {0, 0})},
                   .outputs = 3,
                   .reference = [](const std::vector<Tensor>&) {
                     return std::vector{f64({2}, {0, 0}), f64({}, {1.0 / 255}), f64({}, {0})};
                   }});
}

// [m, n] sums of (a - za) (b - zb).
std::vector<double> product(const Tensor& a, double za, const Tensor& b, double zb) {
  const int64_t m = a.shape()[0], k = a.shape()[1], n = b.shape()[1];
  const std::vector<double> x = numbers(a), w = numbers(b);
  std::vector<double> y;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += (x[static_cast<size_t>(i * k + p)] - za) * (w[static_cast<size_t>(p * n + j)] - zb);
      y.push_back(sum);
    }
  return y;
}

// MatMulNBits with no zero points (0), packed ones (1) or floats (2).
Case block_product(int64_t bits, int zeros) {
  constexpr int64_t kColumns = 3, kTerms = 20, kBlock = 16, kBlocks = 2;
  const int64_t bytes = kBlock * bits / 8, zero_bytes = (kBlocks * bits + 7) / 8;
  Case one;
  one.op = "com.microsoft.MatMulNBits";
  one.what = std::to_string(bits) + " bits, zero points " + std::to_string(zeros);
  one.inputs = {uniform({2, 5, kTerms}),
                u8({kColumns, kBlocks, bytes}, 4),
                uniform({kColumns * kBlocks}, 0.1, 1, 5),
                Tensor(),
                Tensor(),
                uniform({kColumns}, -1, 1, 6)};
  if (zeros == 1) one.inputs[3] = u8({kColumns * zero_bytes}, 7);
  if (zeros == 2) one.inputs[3] = uniform({kColumns * kBlocks}, 0, 9, 7);
  one.attributes = {{"K", kTerms}, {"N", kColumns}, {"bits", bits}, {"block_size", kBlock}};
  one.gradient = false;
  one.reference = [=](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]), q = numbers(in[1]), scale = numbers(in[2]), bias = numbers(in[5]);
    const std::vector<double> zero = in[3] ? numbers(in[3]) : std::vector<double>();
    const auto field = [&](const std::vector<double>& from, int64_t first, int64_t i) {
      const auto byte = static_cast<int64_t>(from[static_cast<size_t>(first + i * bits / 8)]);
      return static_cast<double>(byte >> (i * bits % 8) & ((int64_t{1} << bits) - 1));
    };
    std::vector<double> y;
    for (int64_t i = 0; i < 10; ++i)
      for (int64_t j = 0; j < kColumns; ++j) {
        double sum = bias[static_cast<size_t>(j)];
        for (int64_t p = 0; p < kTerms; ++p) {
          const int64_t block = p / kBlock, at = j * kBlocks + block;
          const double none = static_cast<double>(int64_t{1} << (bits - 1));
          const double z = zeros == 0 ? none : zeros == 1 ? field(zero, j * zero_bytes, block) : zero[static_cast<size_t>(at)];
          sum += x[static_cast<size_t>(i * kTerms + p)] * (field(q, at * bytes, p % kBlock) - z) * scale[static_cast<size_t>(at)];
        }
        y.push_back(sum);
      }
    return std::vector{f64({2, 5, kColumns}, y)};
  };
  return one;
}

void add_products(Cases& cases) {
  for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1, 3}})
    cases.push_back({.op = "MatMulInteger",
                     .what = constants.empty() ? "" : "packed weights",
                     .inputs = {u8({5, 33}), i8({33, 41}, 2), scalar_of(DType::kU8, 113), scalar_of(DType::kI8, -5)},
                     .constants = constants,
                     .reference = [](const std::vector<Tensor>& in) {
                       return std::vector{f64({5, 41}, product(in[0], 113, in[1], -5))};
                     }});
  cases.push_back({.op = "MatMulInteger",
                   .what = "no zero points",
                   .inputs = {i8({2, 3}), u8({3, 4}, 2)},
                   .reference = [](const std::vector<Tensor>& in) {
                     return std::vector{f64({2, 4}, product(in[0], 0, in[1], 0))};
                   }});
  cases.push_back({.op = "QLinearMatMul",
                   .inputs = {u8({3, 8}), f32({}, {0.5f}), scalar_of(DType::kU8, 100), i8({8, 5}, 2), f32({}, {0.25f}),
                              scalar_of(DType::kI8, 3), f32({}, {64}), scalar_of(DType::kU8, 128)},
                   .constants = {3, 5},
                   .reference = [](const std::vector<Tensor>& in) {
                     std::vector<double> y = product(in[0], 100, in[3], 3);
                     for (double& v : y) v = std::clamp(std::nearbyint(v * 0.125 / 64) + 128, 0.0, 255.0);
                     return std::vector{f64({3, 5}, y)};
                   }});
  cases.push_back({.op = "tandem.QuantizedMatMul",
                   .inputs = {u8({3, 8}), f32({}, {0.5f}), scalar_of(DType::kU8, 100), i8({8, 2}, 2), f32({2}, {0.25f, 0.5f}),
                              scalar_of(DType::kI8, 3), f32({}, {64}), scalar_of(DType::kU8, 128), f32({2}, {100, -200})},
                   .attributes = {{"lowest", -640.0f}},
                   .constants = {3, 5},
                   .reference = [](const std::vector<Tensor>& in) {
                     std::vector<double> y = product(in[0], 100, in[3], 3);
                     for (size_t i = 0; i < y.size(); ++i) {
                       const double value = i % 2 ? y[i] * 0.25 - 200 : y[i] * 0.125 + 100;
                       y[i] = std::clamp(std::nearbyint(std::max(value, -640.0) / 64) + 128, 0.0, 255.0);
                     }
                     return std::vector{f64({3, 2}, y)};
                   }});
  const auto scaled = [](std::vector<double> y, double scale, const std::vector<double>& bias) {
    for (size_t i = 0; i < y.size(); ++i) y[i] = y[i] * scale + bias[i % bias.size()];
    return y;
  };
  cases.push_back({.op = "com.microsoft.MatMulIntegerToFloat",
                   .inputs = {u8({3, 8}), i8({8, 2}, 2), f32({}, {0.5f}), f32({}, {0.25f}), scalar_of(DType::kU8, 100), Tensor(),
                              f32({2}, {1, -2})},
                   .reference = [=](const std::vector<Tensor>& in) {
                     return std::vector{f64({3, 2}, scaled(product(in[0], 100, in[1], 0), 0.125, {1, -2}))};
                   }});
  // Three columns of 20 numbers in two blocks of 16, of which the second is not full.
  for (const int64_t bits : {2, 4, 8})
    for (const int zeros : {0, 1, 2}) cases.push_back(block_product(bits, zeros));
  // 0 to 255 is quantized without loss.
  cases.push_back({.op = "com.microsoft.DynamicQuantizeMatMul",
                   .inputs = {f32({1, 3}, {0, 255, 17}), i8({3, 2}, 2), f32({}, {0.25f})},
                   .reference = [=](const std::vector<Tensor>& in) {
                     return std::vector{f64({1, 2}, scaled(product(in[0], 0, in[1], 0), 0.25, {0}))};
                   }});
}

// f of the dequantized operands (scale 1/4, zero point 3 each), quantized again (scale 1/2, zero point 10).
using OfNumbers = std::function<std::vector<double>(const std::vector<std::vector<double>>&)>;
Case qlinear(std::string op, const std::vector<Tensor>& operands, Shape shape, OfNumbers f) {
  Case one;
  one.op = "com.microsoft.QLinear" + op;
  for (const Tensor& x : operands) {
    one.inputs.push_back(x);
    one.inputs.push_back(f32({}, {0.25f}));
    one.inputs.push_back(scalar_of(x.dtype(), 3));
  }
  const std::vector<Tensor> result = {f32({}, {0.5f}), scalar_of(DType::kU8, 10)};
  one.inputs.insert(op == "Concat" ? one.inputs.begin() : one.inputs.end(), result.begin(), result.end());
  one.reference = [=](const std::vector<Tensor>&) {
    std::vector<std::vector<double>> values;
    for (const Tensor& x : operands) {
      values.push_back(numbers(x));
      for (double& v : values.back()) v = (v - 3) * 0.25;
    }
    std::vector<double> y = f(values);
    for (double& v : y) v = std::clamp(std::nearbyint(v / 0.5) + 10, 0.0, 255.0);
    return std::vector{f64(shape, y)};
  };
  return one;
}

// The same of tandem's own op.
Case internal(Case one) {
  one.op.replace(0, std::string("com.microsoft.QLinear").size(), "tandem.Quantized");
  one.round_trip = false;
  return one;
}

// Means over the pixels of images with channels last.
Reference mean_by(double scale, bool keepdims) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& s = in[0].shape();
    const int64_t channels = s[s.rank() - 1], pixels = s.product(1, s.rank() - 1);
    const std::vector<double> x = numbers(in[0]);
    const double zero = numbers(in[2])[0];
    std::vector<double> y(static_cast<size_t>(s[0] * channels));
    for (int64_t i = 0; i < in[0].elements(); ++i)
      y[static_cast<size_t>(i / (pixels * channels) * channels + i % channels)] +=
          scale * (x[static_cast<size_t>(i)] - zero) / static_cast<double>(pixels);
    Shape to{s[0]};
    for (int axis = 1; keepdims && axis + 1 < s.rank(); ++axis) to.push_back(1);
    to.push_back(channels);
    return std::vector{f64(to, y)};
  };
}
void add_means(Cases& cases) {
  for (const Shape& shape : {Shape{2, 7, 9, 30}, {3, 300, 261}, {1, 3, 1, 2, 5}, {2, 1030, 17}})
    for (const DType type : {DType::kU8, DType::kI8})
      cases.push_back({.op = "tandem.QuantizedMean",
                       .what = to_string(shape) + " " + std::string(name(type)),
                       .inputs = {type == DType::kU8 ? u8(shape) : i8(shape), f32({}, {0.5f}), scalar_of(type, 3)},
                       .attributes = {{"keepdims", int64_t{shape.rank() != 3}}},
                       .constants = {1, 2},
                       .reference = mean_by(0.5, shape.rank() != 3)});
}

void add_qlinear(Cases& cases) {
  using Values = std::vector<std::vector<double>>;
  const auto each_of = [](std::function<double(double)> g) {
    return [g](const Values& x) {
      std::vector<double> y = x[0];
      for (double& v : y) v = g(v);
      return y;
    };
  };
  const auto pair_of = [](std::function<double(double, double)> g) {
    return [g](const Values& x) {
      std::vector<double> y = x[0];
      for (size_t i = 0; i < y.size(); ++i) y[i] = g(y[i], x[1][i % x[1].size()]);
      return y;
    };
  };
  const auto means = [](size_t window) {
    return [window](const Values& x) {
      std::vector<double> y(x[0].size() / window);
      for (size_t i = 0; i < x[0].size(); ++i) y[i / window] += x[0][i] / static_cast<double>(window);
      return y;
    };
  };
  cases.push_back(qlinear("Add", {u8({5, 7}), i8({7}, 2)}, {5, 7}, pair_of([](double a, double b) { return a + b; })));
  cases.push_back(qlinear("Mul", {u8({5, 7}), u8({1}, 2)}, {5, 7}, pair_of([](double a, double b) { return a * b; })));
  cases.push_back(internal(qlinear("Add", {u8({5, 7}), i8({7}, 2)}, {5, 7}, pair_of([](double a, double b) { return a + b; }))));
  cases.push_back(internal(qlinear("Mul", {i8({1}, 3), u8({3, 20001}, 2)}, {3, 20001}, [](const Values& x) {
    std::vector<double> y = x[1];
    for (double& v : y) v *= x[0][0];
    return y;
  })));
  for (const DType type : {DType::kU8, DType::kI8})
    cases.push_back({.op = "tandem.ByteTable",
                     .what = std::string(name(type)),
                     .inputs = {type == DType::kU8 ? u8({3, 20001}) : i8({3, 20001}), i8({256}, 7)},
                     .constants = {1},
                     .reference = [](const std::vector<Tensor>& in) {
                       std::vector<double> y = numbers(in[0]);
                       const std::vector<double> table = numbers(in[1]);
                       for (double& v : y) v = table[static_cast<size_t>(v < 0 ? v + 256 : v)];
                       return std::vector{f64(in[0].shape(), y)};
                     }});
  cases.push_back(qlinear("Sigmoid", {u8({5, 7})}, {5, 7}, each_of([](double x) { return 1 / (1 + std::exp(-x)); })));
  cases.push_back(qlinear("LeakyRelu", {i8({5, 7})}, {5, 7}, each_of([](double x) { return x < 0 ? 0.125 * x : x; })));
  cases.back().attributes = {{"alpha", 0.125f}};
  cases.push_back(qlinear("Softmax", {whole(DType::kU8, {1, 4}, 0, 20, 4)}, {1, 4}, [](const Values& x) {
    std::vector<double> y = x[0];
    double total = 0;
    for (double& v : y) total += v = std::exp(v);
    for (double& v : y) v /= total;
    return y;
  }));
  cases.push_back(qlinear("GlobalAveragePool", {u8({2, 3, 2, 2})}, {2, 3, 1, 1}, means(4)));
  cases.push_back(qlinear("AveragePool", {u8({1, 2, 8})}, {1, 2, 4}, means(2)));
  cases.back().attributes = {{"kernel_shape", std::vector<int64_t>{2}}, {"strides", std::vector<int64_t>{2}}};
  cases.push_back(qlinear("Concat", {u8({2, 3}), i8({1, 3}, 2)}, {3, 3}, [](const Values& x) {
    std::vector<double> y = x[0];
    y.insert(y.end(), x[1].begin(), x[1].end());
    return y;
  }));
  cases.back().attributes = {{"axis", int64_t{0}}};
}

void add_convolutions(Cases& cases) {
  const Tensor x = as(DType::kU8, f64({1, 1, 3, 3}, {2, 3, 4, 5, 6, 7, 8, 9, 10})),
               w = as(DType::kU8, f64({1, 1, 2, 2}, {1, 1, 1, 1}));
  cases.push_back(
      {.op = "ConvInteger", .inputs = {x, w, scalar_of(DType::kU8, 1)}, .reference = fixed(f64({1, 1, 2, 2}, {12, 16, 24, 28}))});
  cases.push_back({.op = "ConvInteger",
                   .what = "padding",
                   .inputs = {x, w, scalar_of(DType::kU8, 1)},
                   .attributes = {{"pads", std::vector<int64_t>{1, 1, 1, 1}}},
                   .reference = fixed(f64({1, 1, 4, 4}, {1, 3, 5, 3, 5, 12, 16, 9, 11, 24, 28, 15, 7, 15, 17, 9}))});
  const auto scaled = [](double scale) { return f32({}, {static_cast<float>(scale)}); };
  cases.push_back({.op = "QLinearConv",
                   .inputs = {x, scaled(0.5), scalar_of(DType::kU8, 1), w, f32({1}, {0.25f}), scalar_of(DType::kU8, 0),
                              scaled(0.5), scalar_of(DType::kI8, -10), as(DType::kI32, f64({1}, {4}))},
                   .reference = fixed(f64({1, 1, 2, 2}, {-6, -5, -3, -2}))});
  // Sums 12, 16, 24, 28 (times 1/8) plus 4 halves: 3.5, 4, 5, 5.5 in units of a half, from at least 4 to at most 5.
  for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}})
    cases.push_back({.op = "tandem.QuantizedConv",
                     .what = constants.empty() ? "" : "constants",
                     .inputs = {x, scaled(0.5), scalar_of(DType::kU8, 1), w, f32({1}, {0.25f}), scalar_of(DType::kU8, 0),
                                scaled(0.5), scalar_of(DType::kI8, -10), as(DType::kI32, f64({1}, {4})), scaled(0.5)},
                     .attributes = {{"lowest", 4.0f}, {"highest", 5.0f}},
                     .constants = constants,
                     .reference = fixed(f64({1, 1, 2, 2}, {-2, -2, 0, 0}))});
  // Grouped, with a filter's own scale and zero point; every filter is one tap.
  cases.push_back({.op = "tandem.QuantizedConv",
                   .what = "depthwise with a float bias",
                   .inputs = {as(DType::kI8, f64({1, 2, 2}, {-3, 4, 100, -100})), scaled(1), scalar_of(DType::kI8, -1),
                              as(DType::kI8, f64({2, 1, 1}, {5, -2})), f32({2}, {1, 0.5f}), as(DType::kI8, f64({2}, {3, 0})),
                              scaled(1), scalar_of(DType::kU8, 10), f32({2}, {0.5f, -1})},
                   .attributes = {{"group", int64_t{2}}},
                   .reference = fixed(f64({1, 2, 2}, {6, 20, 0, 108}))});
}

}  // namespace

void add_quantization_cases(Cases& cases) {
  add_quantize(cases);
  add_dequantize(cases);
  add_products(cases);
  add_qlinear(cases);
  add_means(cases);
  add_convolutions(cases);
}

}  // namespace tandem::conformance
