// Shapes of a convolution whose images have their channels last.
#include "kernels/api/conv_channels_last.h"

namespace tandem {
namespace {

Shape around_spatial(int64_t batch, const Window::Sizes& sizes, int rank, int64_t channels) {
  Shape shape({batch});
  for (int i = 3 - rank; i < 3; ++i) shape.push_back(sizes[static_cast<size_t>(i)]);
  shape.push_back(channels);
  return Shape(shape.dims());
}

}  // namespace

Shape channels_last_input_shape(const ConvGeometry& g, int64_t batch) {
  return around_spatial(batch, g.window.input, g.window.rank, g.channels);
}

Shape channels_last_output_shape(const ConvGeometry& g, int64_t batch) {
  return around_spatial(batch, g.window.output, g.window.rank, g.filters);
}

int64_t check_channels_last_conv(const ConvGeometry& g, const Shape& x, const Shape& y) {
  const int64_t batch = x.rank() > 0 ? x[0] : 0;
  const Shape input = channels_last_input_shape(g, batch), output = channels_last_output_shape(g, batch);
  ensure(x == input, "input of a channels-last conv does not fit its geometry", to_string(x), to_string(input));
  ensure(y == output, "output of a channels-last conv does not fit its geometry", to_string(y), to_string(output));
  return batch;
}

}  // namespace tandem
