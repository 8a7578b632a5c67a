// What the pools share beyond the window's attributes: the shape of the output, and the window of a run.
#pragma once

#include <algorithm>
#include <optional>

#include "runtime/ops/symbolic.h"
#include "runtime/ops/window_attributes.h"

namespace tandem {

// [batch, channels, output...] of input 0, if its rank is known. Throws InvalidArgument naming the node for more than 3 spatial
// axes.
inline std::optional<Dims> pool_dims(const InferenceContext& node) {
  const WindowAttributes attributes(node);
  if (!node.has_rank(0)) return std::nullopt;
  node.require(node.rank(0) >= 3 && node.rank(0) <= 5, "input X must have 1 to 3 spatial axes", to_string(node.dims(0)));
  return window_dims(node, attributes, node.dims(0), node.dims(0)[1]);
}

// The exponent of LpPool and GlobalLpPool.
inline int64_t norm_of(const NodeContext& node) {
  const int64_t p = node.get_int("p", 2);
  node.require(p >= 1, "p must be positive", p);
  return p;
}

// The window at the plan's bounds, and at the shape of a run where this is another.
class PoolWindow {
 public:
  PoolWindow(const BindContext& node, const Shape& x) : attributes_(node), x_(x) {
    planned_ = naming(node, [&] { return make_window(x, attributes_.options()); });
  }
  Window of(const Shape& x) const {
    return std::ranges::equal(x.dims().subspan(2), x_.dims().subspan(2)) ? planned_ : make_window(x, attributes_.options());
  }

 private:
  WindowAttributes attributes_;
  Shape x_;
  Window planned_;
};

}  // namespace tandem
