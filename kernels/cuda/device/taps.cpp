#include "kernels/cuda/device/taps.cuh"

#include <algorithm>
#include <limits>

#include "kernels/base/error.h"

namespace tandem::cuda {
namespace {

constexpr int64_t kMost = int64_t{1} << 28;  // sums of a few such sizes stay within 32 bits

WindowAxis axis_of(const Window& w, size_t axis) {
  const int64_t input = w.input[axis], output = w.output[axis], kernel = w.kernel[axis];
  const bool slides = output > 1, spreads = kernel > 1;  // else the step does not matter, however large it is
  const int64_t stride = slides ? w.stride[axis] : 1, dilation = spreads ? w.dilation[axis] : 1;
  for (int64_t size : {input, kernel, output, stride, dilation, w.pad_begin[axis], w.pad_end[axis]})
    require(size <= kMost, "a window on a GPU has sizes of at most 2^28", size);
  require(kernel * dilation <= kMost && output * stride <= 4 * kMost, "a window on a GPU reaches over at most 2^28 pixels",
          kernel, dilation);
  const auto narrow = [](int64_t size) { return static_cast<int>(size); };
  return {narrow(input),           narrow(kernel),  narrow(output),   narrow(stride), narrow(dilation), narrow(w.pad_begin[axis]),
          narrow(w.pad_end[axis]), Divisor(stride), Divisor(dilation)};
}

}  // namespace

DeviceWindow::DeviceWindow(const Window& w)
    : depth(axis_of(w, 0)),
      line(axis_of(w, 1)),
      column(axis_of(w, 2)),
      input_size(w.input_size()),
      output_size(w.output_size()),
      by_output(w.output_size()),
      by_output_line(w.output[1]),
      by_output_column(w.output[2]),
      by_input(w.input_size()),
      by_input_line(w.input[1]),
      by_input_column(w.input[2]) {
  for (int64_t size : {input_size, output_size})
    require(size <= std::numeric_limits<int>::max(), "a windowed op on a GPU takes planes of less than 2^31 pixels", size);
}

}  // namespace tandem::cuda
