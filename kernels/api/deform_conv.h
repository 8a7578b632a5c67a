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

namespace cpu {

void deform_conv(const KernelContext&, const ConvGeometry&, int64_t offset_groups, const DeformConvViews&, TensorView y);
size_t deform_conv_workspace(const ConvGeometry&, DType, int threads);

}  // namespace cpu
}  // namespace tandem
