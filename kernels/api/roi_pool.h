// Regions of an image brought to one size: RoiAlign (ONNX 22; He et al. 2017), MaxRoiPool (ONNX 22; Girshick 2015) and
// CropAndResize (com.microsoft 1, after TensorFlow's tf.image.crop_and_resize). f32 and f64.
//
// x [batch, channels, height, width], y [regions, channels, pooled height, pooled width]. Threads share regions.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct RoiAlignOptions {
  double spatial_scale = 1;    // from the coordinates of regions to those of x
  int64_t sampling_ratio = 0;  // points on each axis of a bin; 0: as many as pixels, rounded up
  bool half_pixel = true;      // regions are moved by half a pixel, and may be smaller than one
  bool max = false;            // the largest weighted corner of any point, not the mean of the points
};

struct CropOptions {
  bool nearest = false;  // the nearest pixel (halves away from 0), not a line between two on each axis
  double outside = 0;    // what points outside the image read
};

namespace cpu {

// regions [n, 4] as x1, y1, x2, y2; images i64 [n]. Throws InvalidArgument for an image outside the batch, and for a region that
// is not finite or so large that a bin would have over 2^20 points.
void roi_align(const KernelContext&, ConstTensorView x, ConstTensorView regions, ConstTensorView images, const RoiAlignOptions&,
               TensorView y);

// The gradient by x; what several regions read is summed in their order. Throws as roi_align.
void roi_align_grad(const KernelContext&, ConstTensorView dy, ConstTensorView x, ConstTensorView regions, ConstTensorView images,
                    const RoiAlignOptions&, TensorView dx);

// regions [n, 5] as image, x1, y1, x2, y2, all rounded to whole pixels; a bin without pixels gives 0. Throws as roi_align.
void max_roi_pool(const KernelContext&, ConstTensorView x, ConstTensorView regions, double spatial_scale, TensorView y);

// regions [n, 4] as y1, x1, y2, x2 in parts of the image, from 0 at the first pixel's center to 1 at the last one's; images i32
// [n]. The points of y lie evenly from corner to corner (y2 < y1 turns a crop over), a single one in the middle. Throws
// InvalidArgument for an image outside the batch.
void crop_and_resize(const KernelContext&, ConstTensorView x, ConstTensorView regions, ConstTensorView images, const CropOptions&,
                     TensorView y);

}  // namespace cpu
}  // namespace tandem
