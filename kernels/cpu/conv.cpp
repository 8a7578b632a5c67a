// The public functions of convolution: views are checked, then handed to the kernel that fits the shape.
#include "kernels/api/conv.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/api/packed_workspace.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/storage.h"

namespace tandem::cpu {
namespace {

template <class T>
ConvOperands<T> operands_of(const ConvGeometry& g, ConstTensorView x, TensorView y, const ConvEpilogue& epilogue) {
  ConvOperands<T> o;
  o.batch = check_conv(g, x.shape, y.shape);
  o.x = x.as<T>().data();
  o.y = y.as<T>().data();
  o.activation = epilogue.activation;
  check_conv_epilogue(g, y.shape, epilogue);
  if (epilogue.bias) o.bias = epilogue.bias.as<T>().data();
  if (epilogue.residual) o.residual = epilogue.residual.as<T>().data();
  return o;
}

template <class T>
void forward(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const ConvOperands<T>& o) {
  if (o.batch == 0) return;
  if (s.depthwise()) depthwise_forward(context, s, tier, o);
  else conv_forward(context, s, tier, o);
}

}  // namespace

PackedFilters pack_filters(const ConvGeometry& g, ConstTensorView w, Isa isa) {
  check_conv_weight(g, w.shape);
  const ConvShape s(g);
  PackedFilters packed;
  packed.dtype_ = w.dtype;
  packed.isa_ = isa;
  visit_float(w.dtype, [&]<class T>() {
    const GemmTier<T>& tier = gemm_tier<T>(isa);
    packed.bytes_ = s.depthwise() ? w.bytes() : static_cast<size_t>(filter_panel_elements(s, tier)) * sizeof(T);
    packed.data_ = make_aligned(packed.bytes_);
    if (!w.data) return;  // room alone, for panels that were kept
    T* panels = reinterpret_cast<T*>(packed.data_.get());
    if (s.depthwise()) std::memcpy(panels, w.data, w.bytes());
    else pack_filter_panels(s, tier, w.as<T>().data(), panels, 1);
  });
  return packed;
}

ConvWorkspace conv_workspace_bytes(const ConvGeometry& g, DType dtype, int threads, Isa isa) {
  const ConvShape s(g);
  if (s.depthwise()) return {};
  return visit_float(dtype, [&]<class T>() {
    const GemmTier<T>& tier = gemm_tier<T>(isa);
    const auto bytes = [](int64_t elements) { return static_cast<size_t>(elements) * sizeof(T); };
    ConvWorkspace sizes{bytes(filter_panel_elements(s, tier) + conv_forward_elements(s, tier, threads)),
                        bytes(conv_input_grad_elements(s, tier, threads)), bytes(conv_weight_grad_elements(s, tier, threads))};
    // A smaller plane may go the other way.
    sizes.weight_grad = std::max(sizes.weight_grad, bytes(small_weight_grad_elements(s, tier, threads)));
    if constexpr (std::is_same_v<T, float>) {
      sizes.forward = std::max(sizes.forward, bytes(conv_by_rows_elements(g, isa, threads)));
      sizes.input_grad = std::max(sizes.input_grad, bytes(conv_input_grad_by_rows_elements(g, isa, threads)));
    }
    return sizes;
  });
}

size_t conv_workspace_with_packed_filters(const ConvGeometry& g, DType dtype, int threads, Isa isa) {
  const ConvShape s(g);
  if (s.depthwise()) return 0;
  return visit_float(dtype, [&]<class T>() { return static_cast<size_t>(conv_forward_elements(s, gemm_tier<T>(isa), threads)) * sizeof(T); });
}

void conv(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView w, TensorView y,
          const ConvEpilogue& epilogue, Isa isa) {
  check_conv_weight(g, w.shape);
  visit_float(x.dtype, [&]<class T>() {
    ConvOperands<T> o = operands_of<T>(g, x, y, epilogue);
    o.w = w.as<T>().data();
    if constexpr (std::is_same_v<T, float>)
      if (!o.residual && forward_suits_rows(g)) return conv_by_rows(context, g, isa, o);
    forward(context, ConvShape(g), gemm_tier<T>(isa), o);
  });
}

void conv(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, const PackedFilters& w, TensorView y,
          const ConvEpilogue& epilogue) {
  ensure(w.dtype() == x.dtype, "packed filters have another element type", name(w.dtype()), name(x.dtype));
  visit_float(x.dtype, [&]<class T>() {
    ConvOperands<T> o = operands_of<T>(g, x, y, epilogue);
    o.w = o.packed = reinterpret_cast<const T*>(w.data());  // a depthwise kernel keeps the plain order
    forward(context, ConvShape(g), gemm_tier<T>(w.isa()), o);
  });
}

void conv_input_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView w, ConstTensorView dy, TensorView dx, Isa isa) {
  check_conv_weight(g, w.shape);
  const int64_t batch = check_conv(g, dx.shape, dy.shape);
  const ConvShape s(g);
  visit_float(dy.dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, float>)
      if (input_grad_suits_rows(g))
        return conv_input_grad_by_rows(context, g, isa, w.as<float>().data(), dy.as<float>().data(), dx.as<float>().data(), batch);
    const auto kernel = s.depthwise() ? depthwise_input_grad<T> : conv_input_grad<T>;
    kernel(context, s, gemm_tier<T>(isa), w.as<T>().data(), dy.as<T>().data(), dx.as<T>().data(), batch);
  });
}

void conv_weight_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView dy, TensorView dw, Isa isa) {
  check_conv_weight(g, dw.shape);
  const int64_t batch = check_conv(g, x.shape, dy.shape);
  const ConvShape s(g);
  visit_float(dy.dtype, [&]<class T>() {
    const auto kernel = s.depthwise() ? depthwise_weight_grad<T> : weight_grad_sums_images(s) ? small_weight_grad<T> : conv_weight_grad<T>;
    kernel(context, s, gemm_tier<T>(isa), x.as<T>().data(), dy.as<T>().data(), dw.as<T>().data(), batch);
  });
}

}  // namespace tandem::cpu
