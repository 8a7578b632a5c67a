// tandem.ChannelsLastConvChain against its three convolutions written out.
#include <algorithm>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

// Channels last: [1, height, width, channels].
struct Image {
  int64_t height, width, channels;
  std::vector<double> values;
  double at(int64_t y, int64_t x, int64_t c) const {
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? values[static_cast<size_t>((y * width + x) * channels + c)] : 0;
  }
};

Image pointwise(const Image& x, const std::vector<double>& w, const std::vector<double>& bias) {
  Image y{x.height, x.width, static_cast<int64_t>(bias.size()), {}};
  for (int64_t pixel = 0; pixel < x.height * x.width; ++pixel)
    for (int64_t f = 0; f < y.channels; ++f) {
      double sum = bias[static_cast<size_t>(f)];
      for (int64_t c = 0; c < x.channels; ++c)
        sum += x.values[static_cast<size_t>(pixel * x.channels + c)] * w[static_cast<size_t>(f * x.channels + c)];
      y.values.push_back(sum);
    }
  return y;
}

// 3 x 3, padded by 1.
Image depthwise(const Image& x, const std::vector<double>& w, const std::vector<double>& bias, int64_t stride) {
  Image y{(x.height - 1) / stride + 1, (x.width - 1) / stride + 1, x.channels, {}};
  for (int64_t row = 0; row < y.height; ++row)
    for (int64_t column = 0; column < y.width; ++column)
      for (int64_t c = 0; c < y.channels; ++c) {
        double sum = bias[static_cast<size_t>(c)];
        for (int64_t tap = 0; tap < 9; ++tap)
          sum += x.at(row * stride + tap / 3 - 1, column * stride + tap % 3 - 1, c) * w[static_cast<size_t>(c * 9 + tap)];
        y.values.push_back(sum);
      }
  return y;
}

void relu(Image& x) {
  for (double& v : x.values) v = std::max(0.0, v);
}

Case chain(int64_t stride, bool expands, bool projects) {
  const int64_t channels = expands ? 5 : 18, middle = 18, filters = projects ? 7 : middle;
  const Shape y{1, (9 - 1) / stride + 1, (8 - 1) / stride + 1, filters};
  const auto given = [](bool is, Tensor tensor) { return is ? tensor : Tensor(); };
  Case one{.op = "tandem.ChannelsLastConvChain",
           .what = "stride " + std::to_string(stride) + (expands ? ", expand" : "") + (projects ? ", project, residual" : ""),
           .inputs = {uniform({1, 9, 8, channels}), uniform({middle, 1, 3, 3}, -1, 1, 2), uniform({middle}, -1, 1, 3),
                      given(expands, uniform({middle, channels, 1, 1}, -1, 1, 4)), given(expands, uniform({middle}, -1, 1, 5)),
                      given(projects, uniform({filters, middle, 1, 1}, -1, 1, 6)), given(projects, uniform({filters}, -1, 1, 7)),
                      given(projects, uniform(y, -1, 1, 8))},
           .attributes = {{"group", middle},
                          {"pads", std::vector<int64_t>{1, 1, 1, 1}},
                          {"strides", std::vector<int64_t>{stride, stride}},
                          {"activation", std::string("Relu")}},
           .constants = {1}};
  while (!one.inputs.back()) one.inputs.pop_back();
  if (expands) one.constants.push_back(3), one.attributes["expand_activation"] = std::string("Relu");
  if (projects) one.constants.push_back(5);
  one.rtol = one.atol = 1e-5;
  one.reference = [=](const std::vector<Tensor>& in) {
    Image image{9, 8, channels, numbers(in[0])};
    if (expands) image = pointwise(image, numbers(in[3]), numbers(in[4])), relu(image);
    image = depthwise(image, numbers(in[1]), numbers(in[2]), stride), relu(image);
    if (projects) {
      image = pointwise(image, numbers(in[5]), numbers(in[6]));
      const std::vector<double> residual = numbers(in[7]);
      for (size_t i = 0; i < residual.size(); ++i) image.values[i] += residual[i];
    }
    return std::vector{f64(y, image.values)};
  };
  return one;
}

}  // namespace

void add_conv_chain_cases(Cases& cases) {
  for (const int64_t stride : {1, 2})
    for (const auto& [expands, projects] : {std::pair(true, true), {true, false}, {false, true}})
      cases.push_back(chain(stride, expands, projects));
}

}  // namespace tandem::conformance
