#include <algorithm>

#include "kernels/api/quantize.h"
#include "kernels/base/checked.h"

namespace tandem {

IntegerRange quantized_range(DType type) {
  switch (type) {
    case DType::kU8: return {0, 255};
    case DType::kI8: return {-128, 127};
    case DType::kU16: return {0, 65535};
    case DType::kI16: return {-32768, 32767};
    case DType::kU4: return {0, 15};
    case DType::kI4: return {-8, 7};
    case DType::kU2: return {0, 3};
    case DType::kI2: return {-2, 1};
    default: no_kernel_for(type);
  }
}

QuantizationGrid make_grid(const Shape& x, const Shape& scale, int64_t axis, int64_t block_size) {
  QuantizationGrid grid;
  if (scale.elements() == 1 && scale.rank() <= 1 && block_size == 0) {
    grid.inner = x.elements();
    return grid;
  }
  require(axis >= -x.rank() && axis < x.rank(), "axis is outside the tensor (axis, shape)", axis, to_string(x));
  const int along = static_cast<int>(axis < 0 ? axis + x.rank() : axis);
  const AxisView view(x, along);
  grid = {.outer = view.outer, .length = view.length, .inner = view.inner};
  if (block_size == 0) {
    require(scale.rank() == 1 && scale[0] == view.length,
            "the scale must be one number, or one a position of the axis (scale, axis, shape)", to_string(scale), along,
            to_string(x));
    grid.block_stride = 1;
    return grid;
  }
  require(block_size > 0, "block_size must not be negative", block_size);
  const int64_t blocks = ceil_div(view.length, block_size);
  bool fits = scale.rank() == x.rank();
  for (int a = 0; fits && a < x.rank(); ++a) fits = scale[a] == (a == along ? blocks : x[a]);
  require(fits,
          "a blocked scale has the shape of the tensor, with ceil(dimension / block_size) on the axis (scale, block_size, shape)",
          to_string(scale), block_size, to_string(x));
  grid.block = block_size;
  grid.outer_stride = blocks * view.inner, grid.block_stride = view.inner, grid.inner_stride = 1;
  return grid;
}

Quantization dynamic_quantization(float low, float high) {
  const float least = std::min(low, 0.0f), most = std::max(high, 0.0f);
  const float scale = most == least ? 1.0f / 255.0f : (most - least) / 255.0f;
  return {scale, static_cast<uint8_t>(quantized(-least / scale, 0, {0, 255}))};
}

}  // namespace tandem
