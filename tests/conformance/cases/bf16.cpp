// The ops on bf16 by the cases of the ops whose twins they are: operands are rounded to bf16, and the references are given the
// rounded numbers.
#include <map>

#include "kernels/base/half.h"
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

struct Twin {
  std::string op;
  std::vector<size_t> shorts;        // inputs that are bf16
  std::vector<size_t> rounded = {};  // inputs that stay f32, and are rounded when they are packed: constants
  bool stores_f32 = true;            // y need not be rounded
};

const std::map<std::string, Twin> kTwins = {
    {"MatMul", {"tandem.Bf16MatMul", {0}, {1}}},
    {"tandem.FusedMatMul", {"tandem.Bf16MatMul", {0, 3}, {1}}},
    {"LayerNormalization", {"tandem.Bf16LayerNormalization", {0}}},
    {"RMSNormalization", {"tandem.Bf16RMSNormalization", {0}}},
    {"tandem.ChannelsLastConv", {"tandem.Bf16ChannelsLastConv", {0, 3}, {1}}},
    {"tandem.ChannelsLastMaxPool", {"tandem.Bf16ChannelsLastMaxPool", {0}, {}, false}},
    {"tandem.ChannelsLastAveragePool", {"tandem.Bf16ChannelsLastAveragePool", {0}, {}, false}},
    {"tandem.FusedAttention", {"tandem.Bf16Attention", {0, 1, 2}, {}, false}},
};

bool fits(const Case& one, const Twin& twin) {
  if (one.opset != 0 || !one.reference || one.outputs != 1 || one.inputs.empty()) return false;
  for (const Tensor& x : one.inputs)
    if (x && x.dtype() != DType::kF32 && x.dtype() != DType::kBool) return false;
  if (one.attributes.contains("transA") || one.attributes.contains("alpha")) return false;
  if (one.op == "tandem.ChannelsLastConv") return one.inputs[0].shape().rank() <= 4 || !one.attributes.contains("group");
  return twin.rounded.empty() || (one.inputs[0].shape().rank() > 0 && one.inputs[1].shape().rank() == 2);
}

Case twin_of(const Case& one, const Twin& twin) {
  Case narrow = one;
  narrow.op = twin.op, narrow.what = one.op + " " + one.what;
  narrow.gradient = false;
  narrow.constants.assign(twin.rounded.begin(), twin.rounded.end());
  narrow.attributes.erase("stash_type");
  if (twin.stores_f32) narrow.attributes["to"] = static_cast<int64_t>(DType::kF32);
  narrow.rtol = twin.stores_f32 ? 2e-5 : 0.02, narrow.atol = twin.stores_f32 ? 2e-5 : 0.02;
  for (size_t i : twin.shorts)
    if (i < narrow.inputs.size() && narrow.inputs[i]) narrow.inputs[i] = as(DType::kBF16, narrow.inputs[i]);
  // A filter a channel stays f32.
  const bool channelwise = one.op == "tandem.ChannelsLastConv" && one.inputs[1].shape()[1] == 1 &&
                           one.attributes.contains("group") &&
                           std::get<int64_t>(one.attributes.at("group")) == one.inputs[1].shape()[0];
  const std::vector<size_t> rounded = channelwise ? std::vector<size_t>() : twin.rounded;
  narrow.reference = [reference = one.reference, shorts = twin.shorts, rounded](const std::vector<Tensor>& inputs) {
    std::vector<Tensor> wide = inputs;
    for (size_t i : shorts)
      if (i < wide.size() && wide[i]) wide[i] = as(DType::kF32, wide[i]);
    for (size_t i : rounded) wide[i] = as(DType::kF32, as(DType::kBF16, wide[i]));
    return reference(wide);
  };
  return narrow;
}

// A pointwise convolution of an image that is scaled by channel, and rounded again, before.
Case scaled_conv(int64_t images_of_scale) {
  const int64_t batch = 2, pixels = 15, channels = 21, filters = 10;
  Case one{.op = "tandem.Bf16ChannelsLastConv",
           .what = "scaled by channel, " + std::to_string(images_of_scale),
           .inputs = {as(DType::kBF16, uniform({batch, 3, 5, channels}, -2, 2)), uniform({filters, channels, 1, 1}, -1, 1), Tensor(), Tensor(),
                      uniform({images_of_scale, 1, 1, channels}, -1, 2)},
           .attributes = {{"to", static_cast<int64_t>(DType::kF32)}}};
  one.constants = {1}, one.gradient = false, one.rtol = 2e-5, one.atol = 2e-5;
  one.reference = [=](const std::vector<Tensor>& inputs) {
    const Tensor x = as(DType::kF32, inputs[0]), w = as(DType::kF32, as(DType::kBF16, inputs[1]));
    Tensor y(DType::kF32, {batch, 3, 5, filters});
    const auto at = [](const Tensor& t, int64_t i) { return t.as<float>()[static_cast<size_t>(i)]; };
    for (int64_t i = 0; i < batch * pixels * filters; ++i) {
      double sum = 0;
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t pixel = i / filters, image = images_of_scale == 1 ? 0 : pixel / pixels;
        const float scaled = to_float(to_bf16(at(x, pixel * channels + c) * at(inputs[4], image * channels + c)));
        sum += static_cast<double>(scaled) * static_cast<double>(at(w, i % filters * channels + c));
      }
      y.as<float>()[static_cast<size_t>(i)] = static_cast<float>(sum);
    }
    return std::vector<Tensor>{y};
  };
  return one;
}

}  // namespace

void add_bf16_cases(Cases& cases) {
  for (const int64_t images : {1, 2}) cases.push_back(scaled_conv(images));
  for (const Shape& shape : {Shape{2, 3, 5, 70}, Shape{1, 600, 17}, Shape{3, 1, 1, 1, 64}}) {
    Case mean{.op = "tandem.Bf16GlobalAverage", .what = to_string(shape), .inputs = {as(DType::kBF16, uniform(shape, -2, 2))}};
    mean.reference = [](const std::vector<Tensor>& inputs) {
      const Tensor wide = as(DType::kF32, inputs[0]);
      const int rank = wide.shape().rank();
      const int64_t channels = wide.shape()[rank - 1], pixels = wide.shape().product(1, rank - 1);
      Shape ones = wide.shape();
      for (int i = 1; i < rank - 1; ++i) ones.set(i, 1);
      Tensor y(DType::kF32, ones);
      for (int64_t i = 0; i < y.elements(); ++i) {
        double sum = 0;
        for (int64_t p = 0; p < pixels; ++p)
          sum += static_cast<double>(wide.as<float>()[static_cast<size_t>((i / channels * pixels + p) * channels + i % channels)]);
        y.as<float>()[static_cast<size_t>(i)] = static_cast<float>(sum / static_cast<double>(pixels));
      }
      return std::vector<Tensor>{y};
    };
    mean.gradient = false;
    cases.push_back(std::move(mean));
  }
  const Cases all = cases;
  for (const Case& one : all)
    if (const auto twin = kTwins.find(one.op); twin != kTwins.end() && fits(one, twin->second))
      cases.push_back(twin_of(one, twin->second));
}

}  // namespace tandem::conformance
