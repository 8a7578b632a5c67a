#include "runtime/ops/filter_layout.h"

#include "kernels/base/checked.h"
#include "runtime/graph/kept_panels.h"

namespace tandem {
namespace {

FilterLayout layout_of(const Shape& weights, int64_t groups, const std::vector<int64_t>& strides,
                       const std::vector<int64_t>& dilations) {
  const std::vector<int64_t> kernel(weights.dims().begin() + 2, weights.dims().end());
  Shape x{1, checked_mul(weights[1], groups, "channels")};
  for (size_t a = 0; a < kernel.size(); ++a)
    x.push_back(checked_mul(kernel[a], a < dilations.size() ? dilations[a] : 1, "window"));
  FilterLayout layout{make_conv_geometry(x, weights, groups, {.kernel = kernel, .strides = strides, .dilations = dilations}),
                      "channels last"};
  layout.name += ", " + std::to_string(groups);
  for (const Window::Sizes& sizes : {layout.geometry.window.stride, layout.geometry.window.dilation})
    for (const int64_t size : sizes) layout.name += ", " + std::to_string(size);
  return layout;
}

}  // namespace

FilterLayout filter_layout(const BindContext& node, int w) {
  return layout_of(node.shape(w), node.get_int("group", 1), node.get_ints("strides"), node.get_ints("dilations"));
}

FilterLayout dense_filter_layout(const BindContext& node, int w) { return layout_of(node.shape(w), 1, {}, {}); }

cpu::ChannelsLastFilters channels_last_filters(const BindContext& node, int w, const FilterLayout& layout) {
  node.require(node.is_constant(w), "the weights must be a constant (input)", w);
  return kept_or_packed<cpu::ChannelsLastFilters>(
      node, w, layout.name, [&](ConstTensorView weights) { return cpu::pack_filters_channels_last(layout.geometry, weights); });
}

}  // namespace tandem
