// Convolution (cross-correlation, ONNX Conv) over 1 to 3 spatial axes, and its two gradients. f32 and f64.
//
//   x [batch, channels, spatial...]   w [filters, channels / groups, kernel...]   y [batch, filters, output...]
//
// The batch is read from the views, and may be any number with one geometry and one workspace. Sums have one fixed order: bits do not
// depend on the threads. Outputs must not overlap inputs (the residual may be y).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/api/gemm.h"
#include "kernels/api/isa.h"
#include "kernels/api/window.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct ConvGeometry {
  int64_t channels = 0, filters = 0, groups = 1;
  Window window;
  // [batch, filters, output...]
  Shape output_shape(int64_t batch) const;
  Shape input_shape(int64_t batch) const;
  Shape weight_shape() const;
};

// Checks x and w (see above) against each other and the options, whose empty kernel means that of w.
// Throws InvalidArgument saying which size is wrong and what it should be.
ConvGeometry make_conv_geometry(const Shape& x, const Shape& w, int64_t groups, WindowOptions options);

// y = activation(conv(x, w) + bias + residual)
struct ConvEpilogue {
  ConstTensorView bias = {};      // null or [filters]
  ConstTensorView residual = {};  // null or the shape of y
  Activation activation = {};
};

// Bytes of workspace for each function; independent of the batch.
struct ConvWorkspace {
  size_t forward = 0;          // either way of giving the weights
  size_t input_grad = 0;
  size_t weight_grad = 0;
};

// For the kernels. Throw Internal where a shape does not fit the geometry; the first returns the batch.
int64_t check_conv(const ConvGeometry&, const Shape& x, const Shape& y);
void check_conv_weight(const ConvGeometry&, const Shape& w);
void check_conv_epilogue(const ConvGeometry&, const Shape& y, const ConvEpilogue&);

}  // namespace tandem

namespace tandem::cpu {

// Weights in the layout that one tier reads: packed once when a plan is made. A handle: copies share the storage.
class PackedFilters {
 public:
  explicit operator bool() const { return data_ != nullptr; }
  size_t bytes() const { return bytes_; }
  DType dtype() const { return dtype_; }
  Isa isa() const { return isa_; }
  const std::byte* data() const { return data_.get(); }

 private:
  friend PackedFilters pack_filters(const ConvGeometry&, ConstTensorView, Isa);
  std::shared_ptr<std::byte[]> data_;
  size_t bytes_ = 0;
  DType dtype_ = DType::kUndefined;
  Isa isa_ = Isa::kPortable;
};
PackedFilters pack_filters(const ConvGeometry&, ConstTensorView w, Isa isa = chosen_isa());

ConvWorkspace conv_workspace_bytes(const ConvGeometry&, DType, int threads, Isa isa = chosen_isa());

void conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView w, TensorView y,
          const ConvEpilogue& epilogue = {}, Isa isa = chosen_isa());
void conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, const PackedFilters& w, TensorView y,
          const ConvEpilogue& epilogue = {});

// dx = gradient to x, given dy [batch, filters, output...]. Overwrites dx. Also ConvTranspose without bias.
void conv_input_grad(const KernelContext&, const ConvGeometry&, ConstTensorView w, ConstTensorView dy, TensorView dx,
                     Isa isa = chosen_isa());
// dw = gradient to w, summed over the batch. Overwrites dw.
void conv_weight_grad(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView dy, TensorView dw,
                      Isa isa = chosen_isa());

}  // namespace tandem::cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16, summed in f32. By cuDNN where it is there
// (Session::dnn), else by our own kernels; bits depend on that, on the shapes and on nothing else.
namespace tandem::cuda {

ConvWorkspace conv_workspace_bytes(const ConvGeometry&, DType);
void conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView w, TensorView y, const ConvEpilogue& epilogue = {});
void conv_input_grad(const KernelContext&, const ConvGeometry&, ConstTensorView w, ConstTensorView dy, TensorView dx);
void conv_weight_grad(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView dy, TensorView dw);

}  // namespace tandem::cuda
