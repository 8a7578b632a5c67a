// The public functions of convolution: views are checked, then handed to cuDNN where it is there, else to the kernel that fits
// the shape.
#include "kernels/api/conv.h"

#include <algorithm>

#include "kernels/cuda/conv_dnn.h"
#include "kernels/cuda/conv_pass.cuh"
#include "kernels/cuda/device/activation.cuh"
#include "kernels/cuda/device/divide.cuh"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"

namespace tandem::cuda {
namespace {

// y = activation(y + bias + residual): what the library leaves to do. y is read and written once more.
template <class T>
__global__ void __launch_bounds__(kBlock)
    finish_conv(PassTarget<T> target, Divisor by_plane, Divisor by_filters, int64_t elements) {
  for (int64_t i = first_index(); i < elements; i += index_stride()) {
    Compute<T> value = widen(target.data[i]);
    if (target.bias) {
      int64_t plane = by_plane.quotient(i);
      value += widen(target.bias[by_filters.divide(plane)]);
    }
    if (target.residual) value += widen(target.residual[i]);
    target.data[i] = narrow<T>(activate(target.activation, value));
  }
}

// Adds into y where the residual is there already.
template <class T>
bool conv_by_library(const KernelContext& context, const ConvGeometry& g, int64_t batch, const T* x, const T* w,
                     PassTarget<T> target) {
  const bool in_place = target.residual == target.data;
  if (!dnn_convolve(context, {.direction = ConvDirection::kForward,
                              .geometry = g,
                              .batch = batch,
                              .dtype = dtype_of<T>,
                              .x = x,
                              .w = w,
                              .y = target.data,
                              .beta = in_place ? 1.0 : 0.0}))
    return false;
  if (in_place) target.residual = nullptr;
  const int64_t plane = g.window.output_size(), elements = batch * g.filters * plane;
  if (target.bias || target.residual || target.activation)
    launch<finish_conv<T>>(context, grid_for(elements), target, Divisor(plane), Divisor(g.filters), elements);
  return true;
}

}  // namespace

ConvWorkspace conv_workspace_bytes(const ConvGeometry& g, DType dtype) {
  const size_t library = dnn_workspace_bytes(g);
  return {.forward = library, .input_grad = library, .weight_grad = std::max(library, weight_grad_workspace_bytes(g, dtype))};
}

void conv(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView w, TensorView y,
          const ConvEpilogue& epilogue) {
  check_conv_weight(g, w.shape);
  const int64_t batch = check_conv(g, x.shape, y.shape);
  check_conv_epilogue(g, y.shape, epilogue);
  cuda::visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *filters = w.as<T>().data();
    const PassTarget<T> target = {.data = y.as<T>().data(),
                                  .bias = epilogue.bias ? epilogue.bias.as<T>().data() : nullptr,
                                  .residual = epilogue.residual ? epilogue.residual.as<T>().data() : nullptr,
                                  .activation = epilogue.activation};
    if (!conv_by_library<T>(context, g, batch, in, filters, target))
      run_pass<T>(context, ConvPass(g, batch, false), in, filters, target);
  });
}

void conv_input_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView w, ConstTensorView dy, TensorView dx) {
  check_conv_weight(g, w.shape);
  const int64_t batch = check_conv(g, dx.shape, dy.shape);
  cuda::visit_float(dy.dtype, [&]<class T>() {
    const T *filters = w.as<T>().data(), *grads = dy.as<T>().data();
    T* out = dx.as<T>().data();
    if (!dnn_convolve(context, {ConvDirection::kInputGrad, g, batch, dtype_of<T>, out, filters, grads}))
      run_pass<T>(context, ConvPass(g, batch, true), grads, filters, PassTarget<T>{.data = out});
  });
}

void conv_weight_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView dy, TensorView dw) {
  check_conv_weight(g, dw.shape);
  const int64_t batch = check_conv(g, x.shape, dy.shape);
  cuda::visit_float(dy.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *grads = dy.as<T>().data();
    T* out = dw.as<T>().data();
    if (!dnn_convolve(context, {ConvDirection::kWeightGrad, g, batch, dtype_of<T>, in, out, grads}))
      weight_grad<T>(context, g, batch, in, grads, out);
  });
}

}  // namespace tandem::cuda
