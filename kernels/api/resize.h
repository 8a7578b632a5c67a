// Resizing along any axes (ONNX Resize-19, Upsample-9) and its gradient.
//
//   y[o] = sum over the taps of o of weight * x[index], a product over the axes
//
// An axis that keeps its size and has scale 1 (and the whole of it as region) is copied. Weights are computed in double and used
// in the type of the data (double for integers, whose results are cut off toward zero), positions of kNearest in float. No output element depends on the number
// of threads.
#pragma once

#include <span>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

enum class ResizeMode : uint8_t { kNearest, kLinear, kCubic };
// How a position of y becomes one of x: the coordinate_transformation_mode of ONNX.
enum class ResizeCoordinates : uint8_t {
  kHalfPixel,
  kHalfPixelSymmetric,
  kPytorchHalfPixel,
  kAlignCorners,
  kAsymmetric,
  kTfHalfPixelForNn,
  kTfCropAndResize,  // positions outside x give the extrapolation value
};
enum class ResizeRounding : uint8_t { kPreferFloor, kPreferCeil, kFloor, kCeil };  // of kNearest

struct ResizeOptions {
  ResizeMode mode = ResizeMode::kNearest;
  ResizeCoordinates coordinates = ResizeCoordinates::kHalfPixel;
  ResizeRounding rounding = ResizeRounding::kPreferFloor;
  bool antialias = false;        // stretch the filter when an axis shrinks; not for kNearest
  bool exclude_outside = false;  // taps outside x get no weight; else they read its edge
  double cubic_a = -0.75;
  double extrapolation = 0;
};

struct ResizeAxis {
  double scale = 1;                         // size of y over size of x, before rounding
  double region_begin = 0, region_end = 1;  // the part of x, from 0 to 1, of kTfCropAndResize
};

namespace cpu {

// kNearest moves any type; the others take numbers. One `axes` entry an axis; axes of size 0 only where y has none either.
// REQUIRES: a workspace of resize_workspace bytes, which grows with the shapes.
void resize(const KernelContext&, ConstTensorView x, std::span<const ResizeAxis> axes, const ResizeOptions&, TensorView y);
// dx = the sum of weight * dy over all taps. f32, f64. The same workspace.
void resize_backward(const KernelContext&, ConstTensorView dy, std::span<const ResizeAxis> axes, const ResizeOptions&,
                     TensorView dx);
size_t resize_workspace(const Shape& x, const Shape& y, const ResizeOptions&, int threads);

}  // namespace cpu
}  // namespace tandem
