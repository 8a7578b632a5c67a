// Convolution and pooling with their gradients, against loops over every (output, input, kernel tap) triple.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/api/window.h"
#include "runtime/ops/activation.h"
#include "tests/conformance/cases/cases.h"
#include "tests/kernels/activations.h"

namespace tandem::conformance {
namespace {

using Ints = std::vector<int64_t>;

// A window problem as the attributes put it; pads already explicit.
struct Problem {
  std::string what = "";
  Shape x, w;  // w: [filters, channels / group, kernel...]
  Ints strides = {}, dilations = {}, pads = {};
  int64_t group = 1;
  bool ceil_mode = false;
  std::string auto_pad = "";  // if set, the attribute to give instead of the pads, which must say the same

  size_t spatial() const { return static_cast<size_t>(x.rank() - 2); }
  int64_t kernel(size_t a) const { return w[static_cast<int>(a) + 2]; }
  int64_t stride(size_t a) const { return strides.empty() ? 1 : strides[a]; }
  int64_t dilation(size_t a) const { return dilations.empty() ? 1 : dilations[a]; }
  int64_t begin(size_t a) const { return pads.empty() ? 0 : pads[a]; }
  int64_t end(size_t a) const { return pads.empty() ? 0 : pads[spatial() + a]; }
  int64_t size(size_t a) const { return x[static_cast<int>(a) + 2]; }
  int64_t output(size_t a) const {
    const int64_t room = size(a) + begin(a) + end(a) - dilation(a) * (kernel(a) - 1) - 1;
    int64_t count = (room + (ceil_mode ? stride(a) - 1 : 0)) / stride(a) + 1;
    if (ceil_mode && (count - 1) * stride(a) >= size(a) + begin(a)) --count;
    return count;
  }
  Shape output_shape(int64_t channels) const {
    Shape y{x[0], channels};
    for (size_t a = 0; a < spatial(); ++a) y.push_back(output(a));
    return y;
  }
  Attributes attributes(bool pooling) const {
    Attributes all;
    if (!strides.empty()) all["strides"] = strides;
    if (!dilations.empty()) all["dilations"] = dilations;
    if (!auto_pad.empty())
      all["auto_pad"] = auto_pad;
    else if (!pads.empty())
      all["pads"] = pads;
    if (pooling && ceil_mode) all["ceil_mode"] = int64_t{1};
    if (!pooling && group != 1) all["group"] = group;
    if (pooling) {
      Ints kernel_shape;
      for (size_t a = 0; a < spatial(); ++a) kernel_shape.push_back(kernel(a));
      all["kernel_shape"] = kernel_shape;
    }
    return all;
  }
};

// Calls tap(output position, input position or -1 in the padding, kernel position, inside the padded input) for one plane.
void each_tap(const Problem& p, const std::function<void(int64_t, int64_t, int64_t, bool)>& tap) {
  int64_t outputs = 1, taps = 1;
  for (size_t a = 0; a < p.spatial(); ++a) {
    outputs *= p.output(a);
    taps *= p.kernel(a);
  }
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t k = 0; k < taps; ++k) {
      int64_t rest_o = o, rest_k = k, input = 0, scale = 1;
      bool inside = true, padded = true;
      for (size_t a = p.spatial(); a-- > 0; rest_o /= p.output(a), rest_k /= p.kernel(a)) {
        const int64_t at = rest_o % p.output(a) * p.stride(a) + rest_k % p.kernel(a) * p.dilation(a) - p.begin(a);
        inside = inside && at >= 0 && at < p.size(a);
        padded = padded && at < p.size(a) + p.end(a);
        input += at * scale;
        scale *= p.size(a);
      }
      tap(o, inside ? input : -1, k, padded);
    }
}

int64_t plane(const Shape& shape) { return shape.product(2, shape.rank()); }

// Calls product(y index, x index, w index) for every multiplication of the convolution.
void each_product(const Problem& p, const std::function<void(size_t, size_t, size_t)>& product) {
  const int64_t filters = p.w[0], per_group = p.w[1], channels = p.x[1];
  const int64_t in = plane(p.x), out = plane(p.output_shape(filters)), taps = plane(p.w);
  for (int64_t n = 0; n < p.x[0]; ++n)
    for (int64_t f = 0; f < filters; ++f)
      for (int64_t c = 0; c < per_group; ++c) {
        const int64_t channel = f / (filters / p.group) * per_group + c;
        each_tap(p, [&](int64_t o, int64_t i, int64_t k, bool) {
          if (i >= 0)
            product(static_cast<size_t>((n * filters + f) * out + o), static_cast<size_t>((n * channels + channel) * in + i),
                    static_cast<size_t>((f * per_group + c) * taps + k));
        });
      }
}

Tensor convolved(const Problem& p, const Tensor& x, const Tensor& w) {
  const std::vector<double> xs = numbers(x), ws = numbers(w);
  const Shape shape = p.output_shape(p.w[0]);
  std::vector<double> y(static_cast<size_t>(shape.elements()), 0.0);
  each_product(p, [&](size_t at_y, size_t at_x, size_t at_w) { y[at_y] += xs[at_x] * ws[at_w]; });
  return f64(shape, y);
}

Reference convolution(const Problem& p, const Activation& activation = {}) {
  return [=](const std::vector<Tensor>& in) {
    Tensor y = convolved(p, in[0], in[1]);
    const auto sum = pairs([](double a, double b) { return a + b; });
    if (in.size() > 2 && in[2]) {
      Shape column{in[2].elements()};
      for (size_t a = 0; a < p.spatial(); ++a) column.push_back(1);
      y = sum({y, in[2].reshaped(column)})[0];
    }
    if (in.size() > 3) y = sum({y, in[3]})[0];
    return each([activation](double v) { return test::activated(activation, v); })({y});
  };
}

const Problem kConvolutions[] = {
    {.what = "plain", .x = {2, 3, 5, 6}, .w = {4, 3, 3, 3}},
    {.what = "padded", .x = {1, 2, 5, 6}, .w = {3, 2, 3, 2}, .pads = {1, 0, 2, 1}},
    {.what = "strided", .x = {2, 2, 7, 7}, .w = {3, 2, 3, 3}, .strides = {2, 3}, .pads = {1, 1, 1, 1}},
    {.what = "dilated", .x = {1, 2, 7, 8}, .w = {2, 2, 2, 3}, .dilations = {3, 2}},
    {.what = "pointwise", .x = {2, 5, 3, 3}, .w = {4, 5, 1, 1}},
    {.what = "grouped", .x = {1, 4, 5, 5}, .w = {6, 2, 3, 3}, .pads = {1, 1, 1, 1}, .group = 2},
    {.what = "depthwise", .x = {2, 3, 5, 5}, .w = {3, 1, 3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}, .group = 3},
    {.what = "one axis", .x = {2, 3, 9}, .w = {2, 3, 4}, .strides = {2}, .pads = {1, 2}},
    {.what = "three axes", .x = {1, 2, 3, 4, 3}, .w = {2, 2, 2, 3, 2}, .pads = {0, 1, 0, 1, 1, 0}},
    {.what = "same upper",
     .x = {1, 2, 5, 6},
     .w = {2, 2, 3, 4},
     .strides = {2, 1},
     .pads = {1, 1, 1, 2},
     .auto_pad = "SAME_UPPER"},
    {.what = "same lower",
     .x = {1, 2, 5, 6},
     .w = {2, 2, 3, 4},
     .strides = {2, 1},
     .pads = {1, 2, 1, 1},
     .auto_pad = "SAME_LOWER"},
    {.what = "valid", .x = {1, 2, 5, 6}, .w = {2, 2, 3, 4}, .auto_pad = "VALID"},
    {.what = "three by three", .x = {2, 5, 6, 7}, .w = {3, 5, 3, 3}, .pads = {1, 2, 0, 1}},
};

void add_convolution(Cases& cases, const Problem& p) {
  const Attributes attributes = p.attributes(false);
  const Tensor x = uniform(p.x), w = uniform(p.w, -1, 1, 5), bias = uniform({p.w[0]}, -1, 1, 6);
  cases.push_back({.op = "Conv", .what = p.what, .inputs = {x, w, bias}, .attributes = attributes, .reference = convolution(p)});
  cases.push_back({.op = "Conv",
                   .what = p.what + " packed",
                   .inputs = {x, w},
                   .attributes = attributes,
                   .constants = {1},
                   .reference = convolution(p)});
  Attributes fused = attributes;
  fused["activation"] = std::string("Relu");
  const Tensor residual = uniform(p.output_shape(p.w[0]), -1, 1, 7);
  cases.push_back({.op = "tandem.FusedConv",
                   .what = p.what,
                   .inputs = {x, w, bias, residual},
                   .attributes = fused,
                   .constants = {1},
                   .reference = convolution(p, UnaryOp::kRelu)});
  const Tensor dy = uniform(p.output_shape(p.w[0]), -1, 1, 8);
  cases.push_back({.op = "tandem.ConvGradInput",
                   .what = p.what,
                   .inputs = {dy, w, x},
                   .attributes = attributes,
                   .reference = [p](const std::vector<Tensor>& in) {
                     const std::vector<double> dys = numbers(in[0]), ws = numbers(in[1]);
                     std::vector<double> dx(static_cast<size_t>(p.x.elements()), 0.0);
                     each_product(p, [&](size_t y, size_t at_x, size_t at_w) { dx[at_x] += dys[y] * ws[at_w]; });
                     return std::vector{f64(p.x, dx)};
                   }});
  cases.push_back({.op = "tandem.ConvGradWeight",
                   .what = p.what,
                   .inputs = {dy, x, w},
                   .attributes = attributes,
                   .reference = [p](const std::vector<Tensor>& in) {
                     const std::vector<double> dys = numbers(in[0]), xs = numbers(in[1]);
                     std::vector<double> dw(static_cast<size_t>(p.w.elements()), 0.0);
                     each_product(p, [&](size_t y, size_t at_x, size_t at_w) { dw[at_w] += dys[y] * xs[at_x]; });
                     return std::vector{f64(p.w, dw)};
                   }});
}

// Of every window: the values and indices of its elements, and how many lie within the padded input.
struct WindowElements {
  std::vector<double> values;
  std::vector<size_t> indices;
  int64_t padded = 0;
};

std::vector<WindowElements> windows(const Problem& p, const Tensor& x) {
  const std::vector<double> xs = numbers(x);
  const int64_t planes = p.x[0] * p.x[1], in = plane(p.x), out = plane(p.output_shape(p.x[1]));
  std::vector<WindowElements> all(static_cast<size_t>(planes * out));
  for (int64_t q = 0; q < planes; ++q)
    each_tap(p, [&](int64_t o, int64_t i, int64_t, bool padded) {
      WindowElements& window = all[static_cast<size_t>(q * out + o)];
      window.padded += padded;
      if (i < 0) return;
      window.indices.push_back(static_cast<size_t>(q * in + i));
      window.values.push_back(xs[window.indices.back()]);
    });
  return all;
}

size_t first_maximum(const WindowElements& window) {
  return window.indices[static_cast<size_t>(std::ranges::max_element(window.values) - window.values.begin())];
}

Reference max_pool(const Problem& p) {
  return [p](const std::vector<Tensor>& in) {
    std::vector<double> y;
    Ints index;
    for (const WindowElements& window : windows(p, in[0])) {
      y.push_back(*std::ranges::max_element(window.values));
      index.push_back(static_cast<int64_t>(first_maximum(window)));
    }
    const Shape shape = p.output_shape(p.x[1]);
    return std::vector{f64(shape, y), i64(shape, index)};
  };
}

double divisor(const WindowElements& window, bool count_pads) {
  return static_cast<double>(count_pads ? window.padded : static_cast<int64_t>(window.values.size()));
}

Reference average_pool(const Problem& p, bool count_pads) {
  return [=](const std::vector<Tensor>& in) {
    std::vector<double> y;
    for (const WindowElements& window : windows(p, in[0])) {
      double sum = 0;
      for (double v : window.values) sum += v;
      y.push_back(sum / divisor(window, count_pads));
    }
    return std::vector{f64(p.output_shape(p.x[1]), y)};
  };
}

// dx of (dy, x): `share` gives each element of a window its part of dy.
Reference pool_grad(const Problem& p, std::function<void(const WindowElements&, double dy, std::vector<double>& dx)> share) {
  return [=](const std::vector<Tensor>& in) {
    const std::vector<double> dys = numbers(in[0]);
    std::vector<double> dx(static_cast<size_t>(p.x.elements()), 0.0);
    const auto all = windows(p, in[1]);
    for (size_t o = 0; o < all.size(); ++o) share(all[o], dys[o], dx);
    return std::vector{f64(p.x, dx)};
  };
}

const Problem kPools[] = {
    {.what = "many taps", .x = {1, 2, 12, 11}, .w = {1, 1, 10, 9}},
    {.what = "many channels", .x = {2, 70, 4, 3}, .w = {1, 1, 2, 2}},
    {.what = "halving", .x = {2, 3, 6, 4}, .w = {1, 1, 2, 2}, .strides = {2, 2}},
    {.what = "overlapping", .x = {1, 2, 5, 6}, .w = {1, 1, 3, 2}, .strides = {2, 1}, .pads = {1, 0, 1, 1}},
    {.what = "dilated", .x = {1, 2, 7, 8}, .w = {1, 1, 2, 3}, .dilations = {3, 2}},
    {.what = "ceil", .x = {1, 2, 6, 7}, .w = {1, 1, 3, 3}, .strides = {2, 2}, .pads = {0, 1, 0, 1}, .ceil_mode = true},
    {.what = "ceil, the only window over the end",
     .x = {1, 2, 2, 4},
     .w = {1, 1, 2, 1},
     .strides = {2, 1},
     .dilations = {2, 1},
     .ceil_mode = true},
    {.what = "one axis", .x = {2, 3, 9}, .w = {1, 1, 4}, .strides = {3}, .pads = {1, 2}},
    {.what = "three axes", .x = {1, 2, 3, 4, 3}, .w = {1, 1, 2, 3, 2}, .pads = {0, 1, 0, 1, 1, 0}},
    {.what = "same upper",
     .x = {1, 2, 5, 6},
     .w = {1, 1, 3, 4},
     .strides = {2, 1},
     .pads = {1, 1, 1, 2},
     .auto_pad = "SAME_UPPER"},
};

Reference lp_pool(const Problem& p, int64_t norm) {
  return [=](const std::vector<Tensor>& in) {
    std::vector<double> y;
    for (const WindowElements& window : windows(p, in[0])) {
      double sum = 0;
      for (double v : window.values) sum += std::pow(std::fabs(v), norm);
      y.push_back(std::pow(sum, 1.0 / static_cast<double>(norm)));
    }
    return std::vector{f64(p.output_shape(p.x[1]), y)};
  };
}

void add_pool(Cases& cases, const Problem& p) {
  const Tensor x = uniform(p.x), dy = uniform(p.output_shape(p.x[1]), -1, 1, 8);
  const Attributes attributes = p.attributes(true);
  cases.push_back(
      {.op = "MaxPool", .what = p.what, .inputs = {x}, .attributes = attributes, .outputs = 2, .reference = max_pool(p)});
  cases.push_back({.op = "tandem.MaxPoolGrad",
                   .what = p.what,
                   .inputs = {dy, x},
                   .attributes = attributes,
                   .reference = pool_grad(p, [](const WindowElements& window, double d, std::vector<double>& dx) {
                     dx[first_maximum(window)] += d;
                   })});
  for (DType dtype : {DType::kU8, DType::kI8})
    cases.push_back({.op = "MaxPool",
                     .what = p.what + " bytes",
                     .inputs = {as(dtype, uniform(p.x, 0, 100))},
                     .attributes = attributes,
                     .outputs = 2,
                     .reference = max_pool(p)});
  for (int64_t norm : {1, 2, 3}) {
    Attributes lp = attributes;
    lp["p"] = norm;
    cases.push_back({.op = "LpPool", .what = p.what, .inputs = {x}, .attributes = lp, .reference = lp_pool(p, norm)});
    if (x.elements() > 1000) continue;
    cases.push_back({.op = "tandem.LpPoolGrad",
                     .what = p.what,
                     .inputs = {dy, x, as(DType::kF32, lp_pool(p, norm)({x})[0])},
                     .attributes = lp,
                     .reference = differences(lp_pool(p, norm), 0, {1}, {1}),
                     .rtol = 1e-4,
                     .atol = 1e-4});
  }
  for (bool count_pads : {false, true}) {
    Attributes average = attributes;
    average["count_include_pad"] = int64_t{count_pads};
    cases.push_back(
        {.op = "AveragePool", .what = p.what, .inputs = {x}, .attributes = average, .reference = average_pool(p, count_pads)});
    cases.push_back({.op = "tandem.AveragePoolGrad",
                     .what = p.what,
                     .inputs = {dy, x},
                     .attributes = average,
                     .reference = pool_grad(p, [count_pads](const WindowElements& window, double d, std::vector<double>& dx) {
                       for (size_t i : window.indices) dx[i] += d / divisor(window, count_pads);
                     })});
  }
}

// A global pool is a window over everything.
void add_global_pool(Cases& cases, const Shape& x_shape, const Shape& flat) {
  const Problem p = {.what = to_string(x_shape), .x = flat, .w = {1, 1, flat[2]}};
  Shape y_shape{x_shape[0], x_shape[1]};
  for (int a = 2; a < x_shape.rank(); ++a) y_shape.push_back(1);
  const auto flattened = [flat](Reference reference, Shape shape) {
    return [=](const std::vector<Tensor>& in) {
      std::vector<Tensor> views = in;
      views.back() = views.back().reshaped(flat);
      return std::vector{reference(views)[0].reshaped(shape)};
    };
  };
  const Tensor x = uniform(x_shape), dy = uniform(y_shape, -1, 1, 8);
  cases.push_back({.op = "GlobalMaxPool", .what = p.what, .inputs = {x}, .reference = flattened(max_pool(p), y_shape)});
  cases.push_back(
      {.op = "GlobalAveragePool", .what = p.what, .inputs = {x}, .reference = flattened(average_pool(p, false), y_shape)});
  cases.push_back({.op = "GlobalLpPool",
                   .what = p.what,
                   .inputs = {x},
                   .attributes = {{"p", int64_t{3}}},
                   .reference = flattened(lp_pool(p, 3), y_shape)});
  const Reference norm = flattened(lp_pool(p, 2), y_shape);
  cases.push_back({.op = "tandem.GlobalLpPoolGrad",
                   .what = p.what,
                   .inputs = {dy, x, as(DType::kF32, norm({x})[0])},
                   .reference = differences(norm, 0, {1}, {1}),
                   .rtol = 1e-4,
                   .atol = 1e-4});
  cases.push_back({.op = "tandem.GlobalMaxPoolGrad",
                   .what = p.what,
                   .inputs = {dy, x},
                   .reference = flattened(pool_grad(p, [](const WindowElements& window, double d,
                                                          std::vector<double>& dx) { dx[first_maximum(window)] += d; }),
                                          x_shape)});
  cases.push_back({.op = "tandem.GlobalAveragePoolGrad",
                   .what = p.what,
                   .inputs = {dy, x},
                   .reference = flattened(pool_grad(p,
                                                    [](const WindowElements& window, double d, std::vector<double>& dx) {
                                                      for (size_t i : window.indices)
                                                        dx[i] += d / static_cast<double>(window.indices.size());
                                                    }),
                                          x_shape)});
}

}  // namespace

// Over products and, depthwise, over lines.
void add_convolution_epilogues(Cases& cases) {
  const Problem problems[] = {{.x = {2, 3, 5, 5}, .w = {4, 3, 3, 3}}, {.x = {2, 3, 5, 5}, .w = {3, 1, 3, 3}, .group = 3}};
  for (const Problem& p : problems)
    for (const auto& [name, function] : kFusableActivations) {
      const float low = function == UnaryOp::kClip ? -0.5f : 0.25f;
      Attributes attributes = p.attributes(false);
      attributes.insert({{"activation", std::string(name)}, {"activation_alpha", low}, {"activation_beta", 0.5f}});
      cases.push_back({.op = "tandem.FusedConv",
                       .what = std::string(name) + (p.group > 1 ? " depthwise" : ""),
                       .inputs = {uniform(p.x), uniform(p.w, -1, 1, 5), uniform({p.w[0]}, -1, 1, 6)},
                       .attributes = attributes,
                       .constants = {1},
                       .reference = convolution(p, {function, {low, 0.5f}})});
    }
}

void add_convolution_cases(Cases& cases) {
  for (const Problem& p : kConvolutions) add_convolution(cases, p);
  cases.push_back({.op = "tandem.FusedConv",
                   .what = "residual without bias",
                   .inputs = {uniform({1, 2, 4, 4}), uniform({2, 2, 1, 1}, -1, 1, 5), Tensor(), uniform({1, 2, 4, 4}, -1, 1, 7)},
                   .reference = convolution({.x = {1, 2, 4, 4}, .w = {2, 2, 1, 1}})});
  add_convolution_epilogues(cases);
  for (const Problem& p : kPools) add_pool(cases, p);
  add_global_pool(cases, {2, 3, 4, 5}, {2, 3, 20});
  add_global_pool(cases, {2, 3, 7}, {2, 3, 7});
  add_global_pool(cases, {1, 2, 2, 3, 2, 2}, {1, 2, 24});
}

}  // namespace tandem::conformance
