// Transposed convolution and its gradients, against loops over every (input, tap) pair.
#include <functional>

#include "tests/conformance/cases/cases.h"
#include "tests/conformance/cases/differences.h"

namespace tandem::conformance {
namespace {

using Ints = std::vector<int64_t>;

struct Problem {
  std::string what;
  Shape x, w;  // w: [filters, channels / group, kernel...]
  Shape y;     // what the specification says of the attributes, worked out by hand
  Ints begin = {};
  Ints strides = {}, dilations = {};
  int64_t group = 1;
  Attributes attributes = {};  // the others

  int64_t stride(size_t a) const { return strides.empty() ? 1 : strides[a]; }
  int64_t dilation(size_t a) const { return dilations.empty() ? 1 : dilations[a]; }
  Attributes all() const {
    Attributes all = attributes;
    if (!strides.empty()) all["strides"] = strides;
    if (!dilations.empty()) all["dilations"] = dilations;
    if (group != 1) all["group"] = group;
    return all;
  }
};

int64_t plane(const Shape& shape) { return shape.product(2, shape.rank()); }

// The pixel of y that a pixel of x reaches through a tap, or -1.
int64_t target(const Problem& p, int64_t pixel, int64_t tap) {
  int64_t at = 0, scale = 1;
  for (int a = p.x.rank() - 1; a >= 2; --a) {
    const auto i = static_cast<size_t>(a - 2);
    const int64_t position = pixel % p.x[a] * p.stride(i) + tap % p.w[a] * p.dilation(i) - (p.begin.empty() ? 0 : p.begin[i]);
    if (position < 0 || position >= p.y[a]) return -1;
    at += position * scale;
    scale *= p.y[a], pixel /= p.x[a], tap /= p.w[a];
  }
  return at;
}

// (x, w, bias?) -> y
Reference transposed(const Problem& p) {
  return [p](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]), w = numbers(in[1]);
    std::vector<double> y(static_cast<size_t>(p.y.elements()), 0.0);
    const int64_t pixels = plane(p.x), taps = plane(p.w), out = plane(p.y), filters = p.x[1] / p.group;
    for (int64_t n = 0; n < p.x[0]; ++n)
      for (int64_t f = 0; f < p.x[1]; ++f)
        for (int64_t c = 0; c < p.w[1]; ++c)
          for (int64_t i = 0; i < pixels; ++i)
            for (int64_t k = 0; k < taps; ++k) {
              const int64_t at = target(p, i, k), channel = f / filters * p.w[1] + c;
              if (at < 0) continue;
              y[static_cast<size_t>((n * p.y[1] + channel) * out + at)] +=
                  x[static_cast<size_t>((n * p.x[1] + f) * pixels + i)] * w[static_cast<size_t>((f * p.w[1] + c) * taps + k)];
            }
    if (in.size() > 2)
      for (size_t i = 0; i < y.size(); ++i) y[i] += numbers(in[2])[static_cast<int64_t>(i) / out % p.y[1]];
    return std::vector{f64(p.y, y)};
  };
}

const Problem kProblems[] = {
    {.what = "plain", .x = {2, 3, 4, 3}, .w = {3, 2, 3, 2}, .y = {2, 2, 6, 4}},
    {.what = "strided", .x = {1, 2, 3, 3}, .w = {2, 3, 3, 3}, .y = {1, 3, 9, 7}, .strides = {3, 2}},
    {.what = "padded",
     .x = {1, 2, 3, 4},
     .w = {2, 2, 3, 3},
     .y = {1, 2, 4, 7},
     .begin = {1, 0},
     .strides = {2, 2},
     .attributes = {{"pads", Ints{1, 0, 2, 2}}}},
    {.what = "output padding",
     .x = {1, 2, 3, 4},
     .w = {2, 2, 3, 3},
     .y = {1, 2, 8, 9},
     .strides = {2, 2},
     .attributes = {{"output_padding", Ints{1, 0}}}},
    {.what = "output padding by dilation",
     .x = {1, 1, 3},
     .w = {1, 2, 1},
     .y = {1, 2, 4},
     .dilations = {2},
     .attributes = {{"output_padding", Ints{1}}}},
    {.what = "dilated", .x = {1, 1, 3, 3}, .w = {1, 2, 2, 2}, .y = {1, 2, 5, 6}, .dilations = {2, 3}},
    {.what = "grouped",
     .x = {2, 4, 3, 3},
     .w = {4, 3, 2, 2},
     .y = {2, 6, 5, 6},
     .begin = {0, 0},
     .strides = {2, 2},
     .group = 2,
     .attributes = {{"pads", Ints{0, 0, 1, 0}}}},
    {.what = "depthwise",
     .x = {1, 3, 3, 4},
     .w = {3, 1, 3, 3},
     .y = {1, 3, 5, 7},
     .begin = {1, 1},
     .strides = {2, 2},
     .group = 3,
     .attributes = {{"pads", Ints{1, 1, 1, 1}}}},
    {.what = "output shape",
     .x = {1, 1, 3, 3},
     .w = {1, 2, 3, 3},
     .y = {1, 2, 7, 8},
     .begin = {1, 0},
     .strides = {3, 2},
     .attributes = {{"output_shape", Ints{7, 8}}}},
    {.what = "same upper",
     .x = {1, 1, 3, 3},
     .w = {1, 2, 3, 3},
     .y = {1, 2, 6, 6},
     .begin = {0, 0},
     .strides = {2, 2},
     .attributes = {{"auto_pad", std::string("SAME_UPPER")}}},
    {.what = "same lower",
     .x = {1, 1, 3, 3},
     .w = {1, 2, 4, 3},
     .y = {1, 2, 6, 3},
     .begin = {1, 1},
     .strides = {2, 1},
     .attributes = {{"auto_pad", std::string("SAME_LOWER")}, {"kernel_shape", Ints{4, 3}}}},
    {.what = "one axis",
     .x = {2, 2, 5},
     .w = {2, 3, 4},
     .y = {2, 3, 12},
     .strides = {2},
     .attributes = {{"auto_pad", std::string("VALID")}}},
    {.what = "three axes",
     .x = {1, 2, 2, 3, 2},
     .w = {2, 2, 2, 2, 3},
     .y = {1, 2, 3, 4, 6},
     .begin = {0, 1, 0},
     .strides = {1, 2, 2},
     .attributes = {{"pads", Ints{0, 1, 0, 0, 1, 0}}, {"output_padding", Ints{0, 0, 1}}}},
    {.what = "pointwise", .x = {2, 5, 3, 3}, .w = {5, 4, 1, 1}, .y = {2, 4, 3, 3}},
};

}  // namespace

void add_conv_transpose_cases(Cases& cases) {
  for (const Problem& p : kProblems) {
    const Tensor x = uniform(p.x), w = uniform(p.w, -1, 1, 5), dy = uniform(p.y, -1, 1, 8);
    const Attributes attributes = p.all();
    cases.push_back({.op = "ConvTranspose",
                     .what = p.what,
                     .inputs = {x, w, uniform({p.y[1]}, -1, 1, 6)},
                     .attributes = attributes,
                     .reference = transposed(p)});
    cases.push_back({.op = "tandem.ConvTransposeGradInput",
                     .what = p.what,
                     .inputs = {dy, w, x},
                     .attributes = attributes,
                     .reference = [p](const std::vector<Tensor>& in) {
                       return std::vector{differences(transposed(p), {in[2], in[1]}, 0, in[0])};
                     }});
    cases.push_back({.op = "tandem.ConvTransposeGradWeight",
                     .what = p.what,
                     .inputs = {dy, x, w},
                     .attributes = attributes,
                     .reference = [p](const std::vector<Tensor>& in) {
                       return std::vector{differences(transposed(p), {in[1], in[2]}, 1, in[0])};
                     }});
  }
  cases.push_back({.op = "ConvTranspose",
                   .what = "without bias",
                   .inputs = {uniform({1, 2, 20, 30}), uniform({2, 40, 3, 3}, -1, 1, 5)},
                   .reference = transposed({.what = "", .x = {1, 2, 20, 30}, .w = {2, 40, 3, 3}, .y = {1, 40, 22, 32}}),
                   .gradient = false});
}

}  // namespace tandem::conformance
