// Reading an image at positions between its pixels (ONNX GridSample-22), and the grid of positions of an affine map
// (AffineGrid-20). f32 and f64; 1 to 3 spatial axes.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

enum class SampleMode : uint8_t { kNearest, kLinear, kCubic };
enum class SamplePadding : uint8_t { kZeros, kBorder, kReflection };

struct SampleOptions {
  SampleMode mode = SampleMode::kLinear;
  SamplePadding padding = SamplePadding::kZeros;
  bool align_corners = false;  // -1 and 1 are the centers of the outer pixels, not their edges
};

namespace cpu {

// x [batch, channels, input...], grid [batch, output..., axes] of positions from -1 to 1, last axis of x first; y [batch,
// channels, output...].
void grid_sample(const KernelContext&, ConstTensorView x, ConstTensorView grid, const SampleOptions&, TensorView y);

// The gradients by x (dx like x; what several points read is summed in their order) and by the grid (dgrid like grid). A point that is
// read at the border whatever its position, and every point of kNearest, has gradient 0; at a kink it is that of the right-hand side.
void grid_sample_input_grad(const KernelContext&, ConstTensorView dy, ConstTensorView grid, const SampleOptions&, TensorView dx);
void grid_sample_grid_grad(const KernelContext&, ConstTensorView dy, ConstTensorView x, ConstTensorView grid, const SampleOptions&,
                           TensorView dgrid);

// theta [batch, axes, axes + 1], grid [batch, output..., axes]: theta times the position of each pixel.
void affine_grid(const KernelContext&, ConstTensorView theta, bool align_corners, TensorView grid);
void affine_grid_grad(const KernelContext&, ConstTensorView dgrid, bool align_corners, TensorView dtheta);

}  // namespace cpu
}  // namespace tandem
