// The channels-last ops by the cases of the ops whose twins they are: images are transposed on their way in and out of the same references. And
// Winograd convolutions of planes and their gradients by those of direct ones.
#include <algorithm>
#include <map>
#include <set>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

struct Twin {
  std::string op;
  std::vector<size_t> images;      // inputs that are
  std::vector<int> constants = {};
  std::set<DType> types;           // of the first image
};

const std::map<std::string, Twin> kTwins = {
    {"Conv", {"tandem.ChannelsLastConv", {0}, {1}, {DType::kF32}}},
    {"tandem.FusedConv", {"tandem.ChannelsLastConv", {0, 3}, {1}, {DType::kF32}}},
    {"tandem.QuantizedConv", {"tandem.ChannelsLastQuantizedConv", {0}, {3, 5}, {DType::kU8, DType::kI8}}},
    {"MaxPool", {"tandem.ChannelsLastMaxPool", {0}, {}, {DType::kF32, DType::kU8, DType::kI8}}},
    {"AveragePool", {"tandem.ChannelsLastAveragePool", {0}, {}, {DType::kF32}}},
    {"DepthToSpace", {"tandem.ChannelsLastDepthToSpace", {0}, {}, {DType::kF32, DType::kU8, DType::kI64}}},
    {"SpaceToDepth", {"tandem.ChannelsLastSpaceToDepth", {0}, {}, {DType::kF32, DType::kU8, DType::kI64}}},
};

// Axis 1 to the end, or the last one to axis 1.
Tensor with_channels(const Tensor& x, bool last) {
  const Shape& shape = x.shape();
  const int64_t rest = shape.product(2, shape.rank()), middle = shape.product(1, shape.rank() - 1);
  const int64_t rows = last ? shape[1] : middle, columns = last ? rest : shape[shape.rank() - 1];
  Shape to{shape[0]};
  if (!last) to.push_back(columns);
  for (int a = last ? 2 : 1; a < shape.rank() - (last ? 0 : 1); ++a) to.push_back(shape[a]);
  if (last) to.push_back(rows);
  Tensor y(x.dtype(), to);
  const size_t size = size_of(x.dtype());
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        std::copy_n(x.view().data + static_cast<size_t>((n * rows + r) * columns + c) * size, size,
                    y.view().data + static_cast<size_t>((n * columns + c) * rows + r) * size);
  return y;
}

Case twin_of(const Case& one, const Twin& twin) {
  Case last = one;
  last.op = twin.op;
  last.what = one.op + " " + one.what;
  last.constants = twin.constants;
  last.outputs = 1;
  for (size_t i : twin.images)
    if (i < last.inputs.size() && last.inputs[i]) last.inputs[i] = with_channels(last.inputs[i], true);
  last.reference = [reference = one.reference, images = twin.images](const std::vector<Tensor>& inputs) {
    std::vector<Tensor> first = inputs;
    for (size_t i : images)
      if (i < first.size() && first[i]) first[i] = with_channels(first[i], false);
    return std::vector{with_channels(reference(first)[0], true)};
  };
  return last;
}

// Whether Winograd's convolutions have the form: 3 x 3 over two axes, no strides, dilations or groups.
bool is_three_by_three(const Case& one, size_t weights = 1) {
  const Shape& w = one.inputs[weights].shape();
  const bool plain = !one.attributes.contains("strides") && !one.attributes.contains("dilations") && !one.attributes.contains("group");
  return plain && w.rank() == 4 && w[2] == 3 && w[3] == 3;
}

// The weights are input `w`.
const std::map<std::string, std::pair<std::string, size_t>> kPlanes = {{"Conv", {"tandem.WinogradPlanesConv", 1}},
                                                                       {"tandem.ConvGradInput", {"tandem.WinogradPlanesGradInput", 1}},
                                                                       {"tandem.ConvGradWeight", {"tandem.WinogradPlanesGradWeight", 2}}};

void add_winograd_planes(Cases& cases, const Case& one) {
  const auto planes = kPlanes.find(one.op);
  if (planes == kPlanes.end() || one.opset != 0 || !one.reference || one.inputs[0].dtype() != DType::kF32) return;
  const auto& [op, weights] = planes->second;
  if (!is_three_by_three(one, weights)) return;
  for (const int64_t tiles : {2, 4}) {
    Case winograd = one;
    winograd.op = op;
    winograd.what = one.op + " " + one.what;
    winograd.attributes["tiles"] = tiles;
    winograd.atol = 1e-5;  // where large terms cancel
    cases.push_back(std::move(winograd));
  }
}

}  // namespace

void add_channels_last_cases(Cases& cases) {
  const Cases all = cases;
  for (const Case& one : all) {
    add_winograd_planes(cases, one);
    const auto twin = kTwins.find(one.op);
    if (twin == kTwins.end() || one.opset != 0 || !one.reference || one.attributes.contains("storage_order")) continue;
    if (twin->second.types.contains(one.inputs[0].dtype())) cases.push_back(twin_of(one, twin->second));
    if (twin->second.op != "tandem.ChannelsLastConv" || !is_three_by_three(one)) continue;
    for (const int64_t tiles : {2, 4}) {
      Case winograd = twin_of(one, twin->second);
      winograd.op = "tandem.WinogradConv";
      winograd.attributes["tiles"] = tiles;
      winograd.atol = 1e-5;  // where large terms cancel
      cases.push_back(std::move(winograd));
    }
  }
}

}  // namespace tandem::conformance
