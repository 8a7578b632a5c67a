// The shapes of a convolution, for the ops on floats and on integers.
#pragma once

#include "kernels/api/conv.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/window_attributes.h"

namespace tandem {

// [batch, filters, output...] of x [batch, channels, spatial...], which is input 0 unless it is given, and the weights, input `w`; both of
// known rank. Throws InvalidArgument naming the node if they do not fit each other or the attributes.
Dims conv_dims(const InferenceContext& node, int w);
Dims conv_dims(const InferenceContext& node, const Dims& x, int w);

// The bias, if there is one and its shape is known, has one value a filter.
void check_conv_bias(const InferenceContext& node, int bias, const Dim& filters);

// The geometry at the plan's bounds, and at the shapes of a run where these are others.
class PlannedConv {
 public:
  PlannedConv(const BindContext& node, const Shape& x, const Shape& w);

  const ConvGeometry& planned() const { return planned_; }
  // Whether a run with this x is the planned one, the batch aside.
  bool is_planned(const Shape& x, const Shape& w) const;
  ConvGeometry of(const Shape& x, const Shape& w) const { return is_planned(x, w) ? planned_ : make(x, w); }

 private:
  ConvGeometry make(const Shape& x, const Shape& w) const { return make_conv_geometry(x, w, groups_, attributes_.options()); }

  WindowAttributes attributes_;
  int64_t groups_;
  Shape x_, w_;
  ConvGeometry planned_;
};

}  // namespace tandem
