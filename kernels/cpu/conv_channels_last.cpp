// The public functions of channels-last convolution: views are checked, then handed to the kernel that fits the shape.
#include "kernels/api/conv_channels_last.h"

#include "kernels/cpu/channels_last/depthwise.h"
#include "kernels/cpu/channels_last/product.h"
#include "kernels/cpu/gemm/storage.h"

namespace tandem::cpu {

ChannelsLastFilters pack_filters_channels_last(const ConvGeometry& g, ConstTensorView w, Isa isa) {
  check_conv_weight(g, w.shape);
  const ChannelsLastTier& tier = channels_last_tier(isa);
  ChannelsLastFilters packed;
  packed.isa_ = isa;
  packed.bytes_ = is_depthwise(g) ? w.bytes() : static_cast<size_t>(product_filter_elements(g, tier)) * sizeof(float);
  packed.data_ = make_aligned(packed.bytes_);
  if (!w.data) return packed;  // room alone, for panels that were kept
  const float* from = w.as<float>().data();
  float* to = reinterpret_cast<float*>(packed.data_.get());
  if (is_depthwise(g)) pack_depthwise_filters(g, from, to);
  else pack_product_filters(g, tier, from, to);
  return packed;
}

size_t conv_channels_last_workspace(const ConvGeometry& g, int threads, Isa isa) {
  return is_depthwise(g) ? depthwise_workspace(g, threads) : product_workspace(g, channels_last_tier(isa), threads);
}

void conv_channels_last(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, const ChannelsLastFilters& w,
                        TensorView y, const ConvEpilogue& epilogue) {
  ChannelsLastOperands o;
  o.batch = check_channels_last_conv(g, x.shape, y.shape);
  check_conv_epilogue(g, y.shape, epilogue);
  o.x = x.as<float>().data();
  o.w = w.data();
  o.y = y.as<float>().data();
  if (epilogue.bias) o.bias = epilogue.bias.as<float>().data();
  if (epilogue.residual) o.residual = epilogue.residual.as<float>().data();
  o.activation = epilogue.activation;
  if (o.batch == 0) return;
  const auto kernel = is_depthwise(g) ? convolve_depthwise : convolve_product;
  kernel(context, g, channels_last_tier(w.isa()), o);
}

}  // namespace tandem::cpu
