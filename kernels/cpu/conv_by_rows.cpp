// Convolutions of planes by the kernels for rows (channels last): each image is turned, convolved and turned back while it is in the second-level
// cache. Where channels are many, that costs less than the copies that patches of planes are made of. For weights that change, in training.
//
// The gradient to the input at stride 1 is such a convolution too (conv_turned.h).
// Threads share images; where there are fewer images than threads, the kernel shares its pixels. Bits do not depend on either.
#include <omp.h>

#include <algorithm>
#include <span>

#include "kernels/cpu/channels_last/product.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/conv_turned.h"
#include "kernels/cpu/gemm/blocking.h"
#include "kernels/cpu/plane_rows.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kLeastChannels = 16;      // below it rows are shorter than vectors, and turning them is most of the work
constexpr int64_t kMostElements = 1 << 20;   // of an image and its result: beyond it they do not stay in the cache
constexpr int64_t kTogether = 256 * 1024;    // of images that are convolved at once, so that weights are read less often
constexpr int64_t kMostTogether = 16;        // images; small ones shall not take more memory than they are worth

int64_t floats(size_t bytes) { return ceil_div(static_cast<int64_t>(bytes), static_cast<int64_t>(sizeof(float))); }

// Workspace: packed filters, then for each thread some images of rows and their results, and the kernel's own.
struct RowsWorkspace {
  int64_t filters, image, images, kernel;
  RowsWorkspace(const ConvGeometry& g, const ChannelsLastTier& tier)
      : filters(aligned_elements<float>(product_filter_elements(g, tier))),
        image(std::max<int64_t>(1, g.channels * g.window.input_size() + g.filters * g.window.output_size())),
        // A larger image does not come this way, but a smaller one of the same workspace may.
        images(aligned_elements<float>(std::clamp(image, std::min(kTogether, kMostTogether * image), kMostElements))),
        kernel(aligned_elements<float>(floats(product_workspace(g, tier, 1)))) {}
  int64_t each() const { return images + kernel; }
  int64_t elements(int threads) const { return filters + threads * each(); }
};

struct ImageConvolution {
  const ConvGeometry& g;
  const GemmTier<float>& turning;
  const ChannelsLastTier& tier;
  const ConvOperands<float>& o;
  const float* filters;
  RowsWorkspace sizes;

  // The images from `first` on, in the memory of `own`.
  void run(const KernelContext& context, int64_t first, int64_t count, std::span<float> own) const {
    const int64_t x = g.channels * g.window.input_size(), y = g.filters * g.window.output_size();
    ChannelsLastOperands rows;
    rows.x = own.data(), rows.y = own.data() + count * x, rows.w = filters;
    rows.bias = o.bias, rows.activation = o.activation, rows.batch = count;
    for (int64_t i = 0; i < count; ++i) turn_planes(turning, o.x + (first + i) * x, g.channels, g.window.input_size(), own.data() + i * x);
    KernelContext inner = context;
    inner.workspace = std::as_writable_bytes(own.subspan(static_cast<size_t>(sizes.images)));
    convolve_product(inner, g, tier, rows);
    for (int64_t i = 0; i < count; ++i) turn_rows(turning, rows.y + i * y, g.filters, g.window.output_size(), o.y + (first + i) * y);
  }
};

// No residual; filters are those of `kernels`.
void convolve_images(const KernelContext& context, const ConvGeometry& g, Isa isa, const ConvOperands<float>& o, const KernelsOf& kernels, float* scratch) {
  const ImageConvolution convolution{g, gemm_tier<float>(isa), channels_last_tier(isa), o, scratch, {g, channels_last_tier(isa)}};
  pack_product_filters(g, convolution.tier, convolution.turning, kernels, scratch, context.threads);
  float* own = scratch + convolution.sizes.filters;
  const int64_t each = convolution.sizes.each();
  const int64_t fit = std::min(kMostTogether, kTogether / convolution.sizes.image);
  const int64_t together = std::clamp<int64_t>(fit, 1, std::max<int64_t>(1, o.batch / context.threads));
  const int64_t parts = ceil_div(o.batch, together);
  const auto count = [&](int64_t part) { return std::min(together, o.batch - part * together); };
  if (o.batch < context.threads) {
    for (int64_t part = 0; part < parts; ++part)
      convolution.run(context, part * together, count(part), {own, static_cast<size_t>(context.threads * each)});
    return;
  }
  KernelContext alone = context;
  alone.threads = 1;
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(ConvShape(g), o.batch))
  for (int64_t part = 0; part < parts; ++part)
    convolution.run(alone, part * together, count(part), {own + omp_get_thread_num() * each, static_cast<size_t>(each)});
}

// Whatever the plane.
bool may_suit(const ConvGeometry& g) {
  return g.groups == 1 && g.window.kernel_size() > 1 && std::min(g.channels, g.filters) >= kLeastChannels;
}

bool suits(const ConvGeometry& g) {
  return may_suit(g) && g.channels * g.window.input_size() + g.filters * g.window.output_size() <= kMostElements;
}
bool input_grad_may_suit(const ConvGeometry& g) { return may_suit(g) && has_turned_form(g); }

}  // namespace

bool forward_suits_rows(const ConvGeometry& g) { return suits(g); }
bool input_grad_suits_rows(const ConvGeometry& g) { return suits(g) && input_grad_may_suit(g); }

int64_t conv_by_rows_elements(const ConvGeometry& g, Isa isa, int threads) {
  return may_suit(g) ? RowsWorkspace(g, channels_last_tier(isa)).elements(threads) : 0;
}
void conv_by_rows(const KernelContext& context, const ConvGeometry& g, Isa isa, const ConvOperands<float>& o) {
  const int64_t elements = conv_by_rows_elements(g, isa, context.threads);
  const int64_t taps = g.window.kernel_size();
  convolve_images(context, g, isa, o, {o.w, g.channels * taps, taps, false}, workspace_of<float>(context.workspace, elements, "conv"));
}

int64_t conv_input_grad_by_rows_elements(const ConvGeometry& g, Isa isa, int threads) {
  return input_grad_may_suit(g) ? conv_by_rows_elements(input_grad_geometry(g), isa, threads) : 0;
}
void conv_input_grad_by_rows(const KernelContext& context, const ConvGeometry& g, Isa isa, const float* w, const float* dy, float* dx,
                             int64_t batch) {
  const int64_t elements = conv_input_grad_by_rows_elements(g, isa, context.threads), taps = g.window.kernel_size();
  ConvOperands<float> o;
  o.x = dy, o.y = dx, o.batch = batch;
  convolve_images(context, input_grad_geometry(g), isa, o, {w, taps, g.channels * taps, true},
                  workspace_of<float>(context.workspace, elements, "input gradient of conv"));
}

}  // namespace tandem::cpu
