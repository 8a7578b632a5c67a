#include "runtime/ops/conv_shape.h"

#include <algorithm>

#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr size_t kMinRank = 3, kMaxRank = 5;

// The attributes with the kernel sizes of w, which a kernel_shape must agree with. No sizes: they are not known.
WindowAttributes attributes_of(const InferenceContext& node, const Dims& w) {
  WindowAttributes attributes(node);
  if (attributes.kernel.empty()) {
    const auto sizes = fixed_shape(Dims(w.begin() + 2, w.end()));
    if (sizes) attributes.kernel.assign(sizes->dims().begin(), sizes->dims().end());
    return attributes;
  }
  node.require(attributes.kernel.size() == w.size() - 2, "kernel_shape needs one size a spatial axis (sizes, axes)",
               attributes.kernel.size(), w.size() - 2);
  for (size_t i = 2; i < w.size(); ++i)
    node.require(!differ(w[i], Dim(attributes.kernel[i - 2])), "kernel_shape differs from weight W (kernel_shape, W)",
                 attributes.kernel[i - 2], to_string(w));
  return attributes;
}

void check_channels(const InferenceContext& node, const Dims& x, const Dims& w) {
  node.require(w.size() == x.size(), "input X and weight W must have as many axes", to_string(x), to_string(w));
  const int64_t groups = node.get_int("group", 1);
  node.require(groups >= 1, "group must be positive", groups);
  if (x[1].known() && w[1].known()) {
    const int64_t expected = naming(node, [&] { return checked_mul(w[1].size, groups, "channels"); });
    if (x[1].size != expected)
      node.reject("input X has " + std::to_string(x[1].size) + " channels, weight W expects " + std::to_string(expected));
  }
  node.require(!w[0].known() || w[0].size % groups == 0, "group must divide the filters (filters, group)", w[0].size, groups);
}

}  // namespace

Dims conv_dims(const InferenceContext& node, int w_input) { return conv_dims(node, node.dims(0), w_input); }

Dims conv_dims(const InferenceContext& node, const Dims& x, int w_input) {
  const Dims& w = node.dims(w_input);
  node.require(x.size() >= kMinRank && x.size() <= kMaxRank, "input X must have 1 to 3 spatial axes", to_string(x));
  check_channels(node, x, w);
  const WindowAttributes attributes = attributes_of(node, w);
  if (!attributes.kernel.empty()) return window_dims(node, attributes, x, w[0]);
  Dims open(x.size());
  open[0] = x[0];
  open[1] = w[0];
  return open;
}

void check_conv_bias(const InferenceContext& node, int bias, const Dim& filters) {
  if (!node.has_input(bias) || !node.has_rank(bias)) return;
  node.require(node.rank(bias) == 1 && !differ(node.dims(bias)[0], filters), "bias B must have one value a filter (B, filters)",
               to_string(node.dims(bias)), to_string(Dims{filters}));
}

PlannedConv::PlannedConv(const BindContext& node, const Shape& x, const Shape& w)
    : attributes_(node), groups_(node.get_int("group", 1)), x_(x), w_(w) {
  planned_ = naming(node, [&] { return make(x, w); });
}

bool PlannedConv::is_planned(const Shape& x, const Shape& w) const {
  return std::ranges::equal(x.dims().subspan(1), x_.dims().subspan(1)) && w == w_;
}

}  // namespace tandem
