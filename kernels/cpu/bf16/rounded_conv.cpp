// The public functions: views are checked, then handed to the products that fit.
#include "kernels/api/rounded_conv.h"

#include "kernels/cpu/bf16/rounded_conv.h"
#include "kernels/cpu/conv_turned.h"

namespace tandem::cpu {
namespace {

void check(const KernelContext& context, const ConvGeometry& g, DType dtype, int64_t bytes) {
  ensure(has_rounded_conv(g) && dtype == DType::kF32, "a convolution that rounds its operands is of f32 and has no groups", name(dtype), g.groups);
  ensure(context.workspace.size() >= static_cast<size_t>(bytes), "the workspace of a rounded convolution is too small",
         context.workspace.size(), bytes);
}

constexpr double kPairPrice = 0.6;  // measured on a Zen 4: 0.5 to 0.65 over ResNet-18's layers, forward and backward
constexpr double kTilePrice = 0.2;  // an estimate: tiles of AMX multiply eight times as fast, and packing stays
constexpr int64_t kTileStep = 64;

}  // namespace

bool has_rounded_conv(const ConvGeometry& g) { return g.groups == 1; }

double rounded_conv_price(Isa isa) {
  const Bf16Kernel& kernel = bf16_kernel(isa);
  if (!kernel.is_native) return 1;
  return kernel.step >= kTileStep ? kTilePrice : kPairPrice;
}

ConvWorkspace rounded_conv_workspace(const ConvGeometry& g, int threads, Isa isa) {
  ConvWorkspace sizes;
  sizes.forward = static_cast<size_t>(rounded_forward_bytes(g, isa, threads));
  sizes.input_grad = static_cast<size_t>(has_turned_form(g) ? rounded_turned_bytes(g, isa, threads) : rounded_scatter_bytes(g, isa, threads));
  sizes.weight_grad = static_cast<size_t>(rounded_weight_grad_bytes(g, isa, threads));
  return sizes;
}

void rounded_conv(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView w, TensorView y,
                  const ConvEpilogue& epilogue, Isa isa) {
  check(context, g, x.dtype, rounded_forward_bytes(g, isa, context.threads));
  check_conv_weight(g, w.shape);
  check_conv_epilogue(g, y.shape, epilogue);
  ConvOperands<float> o;
  o.batch = check_conv(g, x.shape, y.shape);
  o.x = x.as<float>().data(), o.w = w.as<float>().data(), o.y = y.as<float>().data();
  if (epilogue.bias) o.bias = epilogue.bias.as<float>().data();
  if (epilogue.residual) o.residual = epilogue.residual.as<float>().data();
  o.activation = epilogue.activation;
  if (o.batch > 0) rounded_forward(context, g, isa, o);
}

void rounded_conv_input_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView w, ConstTensorView dy, TensorView dx, Isa isa) {
  const bool turned = has_turned_form(g);
  check(context, g, dy.dtype, turned ? rounded_turned_bytes(g, isa, context.threads) : rounded_scatter_bytes(g, isa, context.threads));
  check_conv_weight(g, w.shape);
  const int64_t batch = check_conv(g, dx.shape, dy.shape);
  if (batch == 0) return;
  const auto kernel = turned ? rounded_turned : rounded_scatter;
  kernel(context, g, isa, w.as<float>().data(), dy.as<float>().data(), dx.as<float>().data(), batch);
}

void rounded_conv_weight_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView dy, TensorView dw, Isa isa) {
  check(context, g, dy.dtype, rounded_weight_grad_bytes(g, isa, context.threads));
  check_conv_weight(g, dw.shape);
  const int64_t batch = check_conv(g, x.shape, dy.shape);
  rounded_weight_grad(context, g, isa, x.as<float>().data(), dy.as<float>().data(), dw.as<float>().data(), batch);
}

}  // namespace tandem::cpu
