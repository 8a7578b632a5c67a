// Windows put back into images, and causal convolution.
#include <cmath>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Ints = std::vector<int64_t>;

struct Columns {
  std::string what;
  Shape image, block;
  Ints strides, dilations, pads;
  int64_t positions(int a) const {
    const auto i = static_cast<size_t>(a);
    const int64_t padded = image[a] + pads[i] + pads[i + strides.size()];
    return (padded - dilations[i] * (block[a] - 1) - 1) / strides[i] + 1;
  }
};

// (x [batch, channels * block, positions]) -> [batch, channels, image]
Reference folded(const Columns& c) {
  return [c](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]);
    const int64_t taps = c.block.elements(), batch = in[0].shape()[0], channels = in[0].shape()[1] / taps,
                  count = in[0].shape()[2];
    Shape shape{batch, channels};
    for (int64_t size : c.image.dims()) shape.push_back(size);
    std::vector<double> y(static_cast<size_t>(shape.elements()), 0.0);
    for (int64_t i = 0; i < in[0].elements(); ++i) {
      int64_t position = i % count, tap = i / count % taps, offset = 0, scale = 1;
      bool inside = true;
      for (int a = c.image.rank() - 1; a >= 0; --a) {
        const auto s = static_cast<size_t>(a);
        const int64_t at = position % c.positions(a) * c.strides[s] + tap % c.block[a] * c.dilations[s] - c.pads[s];
        inside = inside && at >= 0 && at < c.image[a];
        offset += at * scale;
        scale *= c.image[a], position /= c.positions(a), tap /= c.block[a];
      }
      if (inside) y[static_cast<size_t>(i / count / taps * c.image.elements() + offset)] += x[static_cast<size_t>(i)];
    }
    return std::vector{f64(shape, y)};
  };
}

void add_columns(Cases& cases) {
  for (const Columns& c :
       {Columns{"blocks", {4, 6}, {2, 3}, {2, 3}, {1, 1}, {0, 0, 0, 0}},
        Columns{"overlapping", {5, 5}, {3, 2}, {1, 2}, {1, 1}, {1, 0, 1, 1}},
        Columns{"dilated", {6, 7}, {2, 3}, {1, 1}, {3, 2}, {0, 1, 0, 0}}, Columns{"line", {9}, {4}, {2}, {1}, {1, 0}},
        Columns{"pointwise", {3, 4}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
        Columns{"volume", {3, 4, 3}, {2, 2, 1}, {1, 2, 1}, {1, 1, 1}, {0, 0, 0, 0, 0, 0}}}) {
    int64_t count = 1;
    for (int a = 0; a < c.image.rank(); ++a) count *= c.positions(a);
    const Attributes attributes = {{"strides", c.strides}, {"dilations", c.dilations}, {"pads", c.pads}};
    const auto list = [](const Shape& shape) { return i64(Ints(shape.dims().begin(), shape.dims().end())); };
    const std::vector<Tensor> inputs = {uniform({2, 3 * c.block.elements(), count}), list(c.image), list(c.block)};
    cases.push_back({.op = "Col2Im",
                     .what = c.what,
                     .inputs = inputs,
                     .attributes = attributes,
                     .constants = {1, 2},
                     .reference = folded(c)});
    cases.push_back({.op = "tandem.Col2ImGrad",
                     .what = c.what,
                     .inputs = {as(DType::kF32, folded(c)(inputs)[0]), inputs[0], inputs[2]},
                     .attributes = attributes,
                     .constants = {2},
                     .reference = differences(folded(c), 0, {1}, {1}),
                     .rtol = 1e-4,
                     .atol = 1e-4});
    cases.push_back({.op = "Col2Im",
                     .what = c.what + " i32",
                     .inputs = {as(DType::kI32, uniform(inputs[0].shape(), -50, 50)), inputs[1], inputs[2]},
                     .attributes = attributes,
                     .constants = {1, 2},
                     .reference = folded(c)});
  }
}

void add_unpool(Cases& cases) {
  const Attributes pairs = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}};
  const Tensor x = f32({1, 2, 1, 2}, {1, 2, 3, 4}), indices = i64({1, 2, 1, 2}, {5, 3, 8, 14});
  cases.push_back({.op = "MaxUnpool",
                   .inputs = {x, indices},
                   .attributes = pairs,
                   .reference = fixed(f64({1, 2, 2, 4}, {0, 0, 0, 2, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0, 4, 0}))});
  cases.push_back({.op = "MaxUnpool",
                   .what = "larger",
                   .inputs = {x, indices, i64({1, 2, 3, 5})},
                   .attributes = pairs,
                   .constants = {2},
                   .reference = fixed(f64({1, 2, 3, 5}, {0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
                                                         3, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}))});
  // Of equal indices the last one stays, and gets the gradient.
  cases.push_back({.op = "MaxUnpool",
                   .what = "meeting",
                   .inputs = {x, i64({1, 2, 1, 2}, {5, 5, 8, 8})},
                   .attributes = pairs,
                   .reference = fixed(f64({1, 2, 2, 4}, {0, 0, 0, 0, 0, 2, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}))});
  cases.push_back(
      {.op = "tandem.MaxUnpoolGrad",
       .inputs = {f32({1, 2, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}), i64({1, 2, 1, 2}, {5, 5, 8, 14})},
       .attributes = pairs,
       .reference = fixed(f64({1, 2, 1, 2}, {0, 6, 9, 15}))});
  cases.push_back({.op = "MaxUnpool",
                   .what = "padded line",
                   .inputs = {f32({1, 1, 3}, {1, 2, 3}), i64({1, 1, 3}, {0, 2, 4})},
                   .attributes = {{"kernel_shape", Ints{3}}, {"strides", Ints{2}}, {"pads", Ints{1, 1}}},
                   .reference = fixed(f64({1, 1, 5}, {1, 0, 2, 0, 3}))});
}

// (x, w, bias?, past?) -> y, present
Reference causal(bool silu) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const int64_t taps = in[1].shape()[2], state = taps - 1, length = shape[2];
    const std::vector<double> x = numbers(in[0]), w = numbers(in[1]);
    std::vector<double> y, present;
    for (int64_t i = 0; i < shape[0] * shape[1]; ++i) {
      std::vector<double> all(static_cast<size_t>(state), 0.0);
      if (in.size() > 3 && in[3])
        for (int64_t s = 0; s < state; ++s) all[static_cast<size_t>(s)] = numbers(in[3])[static_cast<size_t>(i * state + s)];
      for (int64_t t = 0; t < length; ++t) all.push_back(x[static_cast<size_t>(i * length + t)]);
      const auto c = static_cast<size_t>(i % shape[1]);
      for (int64_t t = 0; t < length; ++t) {
        double sum = in.size() > 2 && in[2] ? numbers(in[2])[c] : 0;
        for (int64_t k = 0; k < taps; ++k)
          sum += w[c * static_cast<size_t>(taps) + static_cast<size_t>(k)] * all[static_cast<size_t>(t + k)];
        y.push_back(silu ? sum / (1 + std::exp(-sum)) : sum);
      }
      present.insert(present.end(), all.end() - state, all.end());
    }
    return std::vector{f64(shape, y), f64({shape[0], shape[1], state}, present)};
  };
}

void add_causal(Cases& cases) {
  for (const auto& [length, taps] : {std::pair<int64_t, int64_t>{6, 4}, {2, 4}, {1, 1}, {3, 4}, {0, 3}}) {
    const Tensor x = uniform({2, 3, length}), w = uniform({3, 1, taps}, -1, 1, 5), bias = uniform({3}, -1, 1, 6),
                 past = uniform({2, 3, taps - 1}, -1, 1, 7);
    const std::string what = std::to_string(length) + " by " + std::to_string(taps);
    cases.push_back({.op = "CausalConvWithState", .what = what, .inputs = {x, w}, .outputs = 2, .reference = causal(false)});
    cases.push_back({.op = "CausalConvWithState",
                     .what = what + " and all",
                     .inputs = {x, w, bias, past},
                     .attributes = {{"activation", std::string("silu")}},
                     .outputs = 2,
                     .reference = causal(true)});
    cases.push_back({.op = "CausalConvWithState",
                     .what = what + " with past",
                     .inputs = {x, w, Tensor(), past},
                     .attributes = {{"activation", std::string("swish")}},
                     .reference = [](const std::vector<Tensor>& in) { return std::vector{causal(true)(in)[0]}; }});
  }
  cases.push_back({.op = "CausalConvWithState",
                   .what = "large",
                   .inputs = {uniform({2, 40, 300}), uniform({40, 1, 4}, -1, 1, 5)},
                   .outputs = 2,
                   .reference = causal(false)});
}

}  // namespace

void add_fold_cases(Cases& cases) {
  add_columns(cases);
  add_unpool(cases);
  add_causal(cases);
}

}  // namespace tandem::conformance
