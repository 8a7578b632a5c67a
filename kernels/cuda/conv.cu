// The public functions of convolution: views are checked, then handed to the kernel that fits the shape.
#include "kernels/api/conv.h"

#include "kernels/cuda/conv_pass.cuh"
#include "kernels/cuda/device/number.cuh"

namespace tandem::cuda {

ConvWorkspace conv_workspace_bytes(const ConvGeometry& g, DType dtype) { return {.weight_grad = weight_grad_workspace_bytes(g, dtype)}; }

void conv(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView w, TensorView y,
          const ConvEpilogue& epilogue) {
  check_conv_weight(g, w.shape);
  const int64_t batch = check_conv(g, x.shape, y.shape);
  check_conv_epilogue(g, y.shape, epilogue);
  cuda::visit_float(x.dtype, [&]<class T>() {
    const PassTarget<T> target = {.data = y.as<T>().data(),
                                  .bias = epilogue.bias ? epilogue.bias.as<T>().data() : nullptr,
                                  .residual = epilogue.residual ? epilogue.residual.as<T>().data() : nullptr,
                                  .activation = epilogue.activation};
    run_pass<T>(context, ConvPass(g, batch, false), x.as<T>().data(), w.as<T>().data(), target);
  });
}

void conv_input_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView w, ConstTensorView dy, TensorView dx) {
  check_conv_weight(g, w.shape);
  const int64_t batch = check_conv(g, dx.shape, dy.shape);
  cuda::visit_float(dy.dtype, [&]<class T>() {
    run_pass<T>(context, ConvPass(g, batch, true), dy.as<T>().data(), w.as<T>().data(), PassTarget<T>{.data = dx.as<T>().data()});
  });
}

void conv_weight_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView dy, TensorView dw) {
  check_conv_weight(g, dw.shape);
  const int64_t batch = check_conv(g, x.shape, dy.shape);
  cuda::visit_float(dy.dtype,
                    [&]<class T>() { weight_grad<T>(context, g, batch, x.as<T>().data(), dy.as<T>().data(), dw.as<T>().data()); });
}

}  // namespace tandem::cuda
