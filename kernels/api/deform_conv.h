// Deformable convolution (ONNX DeformConv-22; Dai et al. 2017, with the mask of Zhu et al. 2018). f32 and f64; 1 to 3 spatial
// axes.
//
// A convolution whose taps are moved: tap k of output o reads x, linearly between pixels and 0 outside, at the place of the
// window plus offset[n, (group of offsets, k, axis), o], times mask[n, (group of offsets, k), o].
#pragma once

#include "kernels/api/conv.h"

namespace tandem {

struct DeformConvViews {
  ConstTensorView x, w, offset;
  ConstTensorView bias, mask;  // each may be null
};

// dx, doffset and dmask, like what they are the gradients of; the mask's may be null.
struct DeformGradients {
  TensorView x, offset, mask;
};

namespace cpu {

void deform_conv(const KernelContext&, const ConvGeometry&, int64_t offset_groups, const DeformConvViews&, TensorView y);
size_t deform_conv_workspace(const ConvGeometry&, DType, int threads);

// For training: what the taps read, [batch, (channel, tap), output...], which the filters are multiplied with, and its gradients. `views.w`
// and `views.bias` are not looked at. At pixels' centers, where the reading has a kink, the gradient is that of the right-hand side.
void deform_patches(const KernelContext&, const ConvGeometry&, int64_t offset_groups, const DeformConvViews&, TensorView patches);
void deform_patches_grad(const KernelContext&, const ConvGeometry&, int64_t offset_groups, const DeformConvViews&, ConstTensorView dpatches,
                         const DeformGradients&);

}  // namespace cpu
}  // namespace tandem
