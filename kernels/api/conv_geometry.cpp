// Checks of a convolution's shapes (ONNX Conv-22), before any size is used.
#include "kernels/api/conv.h"

namespace tandem {
namespace {

Shape with_spatial(std::initializer_list<int64_t> leading, const Window::Sizes& sizes, int rank) {
  Shape shape(leading);
  for (int i = 3 - rank; i < 3; ++i) shape.push_back(sizes[static_cast<size_t>(i)]);
  return Shape(shape.dims());
}

}  // namespace

Shape ConvGeometry::output_shape(int64_t batch) const { return with_spatial({batch, filters}, window.output, window.rank); }
Shape ConvGeometry::input_shape(int64_t batch) const { return with_spatial({batch, channels}, window.input, window.rank); }
Shape ConvGeometry::weight_shape() const { return with_spatial({filters, channels / groups}, window.kernel, window.rank); }

ConvGeometry make_conv_geometry(const Shape& x, const Shape& w, int64_t groups, WindowOptions options) {
  require(x.rank() == w.rank(), "input and weight of a convolution differ in rank", to_string(x), to_string(w));
  require(x.rank() >= 3, "a convolution needs [batch, channels, spatial...]", to_string(x));
  require(groups >= 1, "group must be at least 1", groups);
  ConvGeometry g;
  g.groups = groups;
  g.channels = x[1];
  g.filters = w[0];
  require(g.channels >= 1 && g.filters >= 1, "a convolution needs channels and filters", to_string(x), to_string(w));
  require(g.channels == checked_mul(w[1], groups, "channels"), "channels of the input are not those of the weight times group",
          to_string(x), to_string(w), groups);
  require(g.filters % groups == 0, "filters are not a multiple of group", g.filters, groups);
  const auto spatial = w.dims().subspan(2);
  if (options.kernel.empty()) options.kernel = spatial;
  require(std::equal(options.kernel.begin(), options.kernel.end(), spatial.begin(), spatial.end()),
          "kernel_shape differs from the weight", to_string(Shape(options.kernel)), to_string(w));
  g.window = make_window(x, options);
  g.output_shape(1);  // its product is checked
  return g;
}

int64_t check_conv(const ConvGeometry& g, const Shape& x, const Shape& y) {
  const int64_t batch = x.rank() > 0 ? x[0] : 0;
  ensure(x == g.input_shape(batch), "input of conv does not fit its geometry", to_string(x), to_string(g.input_shape(batch)));
  ensure(y == g.output_shape(batch), "output of conv does not fit its geometry", to_string(y), to_string(g.output_shape(batch)));
  return batch;
}

void check_conv_weight(const ConvGeometry& g, const Shape& w) {
  ensure(w == g.weight_shape(), "weight of conv does not fit its geometry", to_string(w), to_string(g.weight_shape()));
}

void check_conv_epilogue(const ConvGeometry& g, const Shape& y, const ConvEpilogue& epilogue) {
  ensure(!epilogue.bias || epilogue.bias.elements() == g.filters, "bias of conv needs one value a filter", epilogue.bias.elements(), g.filters);
  ensure(!epilogue.residual || epilogue.residual.shape == y, "residual of conv needs the shape of its output",
         to_string(epilogue.residual.shape));
}

}  // namespace tandem
