// Planes by the Winograd kernel for rows: images are turned, some at a time, convolved and turned back. Threads take images of their own, or, where a
// batch has too few tiles for that, share those of all: filters are then read by one thread each.
#include "kernels/api/conv_winograd_planes.h"

#include <omp.h>

#include <algorithm>
#include <span>

#include "kernels/cpu/channels_last/winograd.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/conv_turned.h"
#include "kernels/cpu/gemm/blocking.h"
#include "kernels/cpu/plane_rows.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kTogether = 256 * 1024;    // floats of images that a thread convolves at once, and of their results
constexpr int64_t kMostTogether = 32;        // images; small ones shall not take more memory than they are worth

constexpr int64_t kMostElements = 8 << 20;   // of an image and its result

// Multiply-adds that it takes to write a weight as products read it and to read it, or the same of a sum of weights' slopes; measured on a Zen 4.
constexpr double kWeight = 40;

// Beside direct sums that take `price` a product, and `direct_weight` a weight.
std::optional<WinogradTiles> fastest(const WinogradSizes& s, double price, double direct_weight) {
  const double weights = static_cast<double>(s.channels) * static_cast<double>(s.filters);
  const auto cost = [&](int64_t m) { return winograd_products_cost(s, m) + static_cast<double>((m + 2) * (m + 2)) * weights * kWeight; };
  const double pixels = static_cast<double>(s.batch * s.height * s.width), direct = 9 * weights * (pixels * price + direct_weight), two = cost(2), four = cost(4);
  const bool fits = (s.channels + s.filters) * s.height * s.width <= kMostElements;
  if (!fits || direct <= std::min(two, four)) return std::nullopt;
  return two < four ? WinogradTiles::kTwo : WinogradTiles::kFour;
}

int64_t floats(size_t bytes) { return ceil_div(static_cast<int64_t>(bytes), static_cast<int64_t>(sizeof(float))); }

// Workspace: filters at their points, then for each thread some images of rows and their results, and the kernel's own.
struct PlanesWorkspace {
  int64_t filters, image, images, kernel;
  PlanesWorkspace(const ConvGeometry& g, const ChannelsLastTier& tier, int64_t m)
      : filters(aligned_elements<float>(winograd_filter_elements(g, tier, m))),
        image(std::max<int64_t>(1, g.channels * g.window.input_size() + g.filters * g.window.output_size())),
        images(aligned_elements<float>(std::max(image, std::min(kTogether, kMostTogether * image)))),
        kernel(aligned_elements<float>(floats(winograd_workspace(g, tier, m, 1)))) {}
  int64_t each() const { return images + kernel; }
  int64_t elements(int threads) const { return filters + threads * each(); }
};

struct PlanesConvolution {
  const ConvGeometry& g;
  const GemmTier<float>& turning;
  const ChannelsLastTier& tier;
  int64_t m;
  const ConvOperands<float>& o;
  PlanesWorkspace sizes;
  const float* filters;

  // The images from `first` on, by the threads of `context`, in the memory of `own`.
  void run(const KernelContext& context, int64_t first, int64_t count, std::span<float> own) const {
    const int64_t pixels = g.window.input_size(), outputs = g.window.output_size(), x = g.channels * pixels, y = g.filters * outputs;
    ChannelsLastOperands rows;
    rows.x = own.data(), rows.y = own.data() + count * x, rows.w = filters;
    rows.bias = o.bias, rows.activation = o.activation, rows.batch = count;
#pragma omp parallel for num_threads(context.threads) schedule(static) if (context.threads > 1)
    for (int64_t i = 0; i < count; ++i) turn_planes(turning, o.x + (first + i) * x, g.channels, pixels, own.data() + i * x);
    KernelContext inner = context;
    inner.workspace = std::as_writable_bytes(own.subspan(static_cast<size_t>(context.threads * sizes.images)));
    convolve_winograd(inner, g, tier, m, rows);
#pragma omp parallel for num_threads(context.threads) schedule(static) if (context.threads > 1)
    for (int64_t i = 0; i < count; ++i) turn_rows(turning, rows.y + i * y, g.filters, outputs, o.y + (first + i) * y);
  }
};

void convolve_planes(const KernelContext& context, const ConvGeometry& g, Isa isa, int64_t m, const ConvOperands<float>& o, const KernelsOf& kernels,
                     std::string_view who) {
  ensure(has_winograd_form(g), "Winograd convolution wants 3 x 3 at stride 1", to_string(g.weight_shape()), g.groups);
  const ChannelsLastTier& tier = channels_last_tier(isa);
  const PlanesWorkspace sizes(g, tier, m);
  float* filters = workspace_of<float>(context.workspace, sizes.elements(context.threads), who);
  KernelContext team = context;
  if (!worth_a_team(ConvShape(g), o.batch)) team.threads = 1;
  const PlanesConvolution convolution{g, gemm_tier<float>(isa), tier, m, o, sizes, filters};
  pack_winograd_panels(g, tier, convolution.turning, m, kernels, filters, team.threads);
  float* own = filters + sizes.filters;
  const int64_t together = std::max<int64_t>(1, std::min(kMostTogether, kTogether / sizes.image));
  const int64_t shared = together * team.threads;
  if (o.batch < shared) return convolution.run(team, 0, o.batch, {own, static_cast<size_t>(team.threads * sizes.each())});
  KernelContext alone = context;
  alone.threads = 1;
#pragma omp parallel for num_threads(team.threads) schedule(static) if (team.threads > 1)
  for (int64_t part = 0; part < ceil_div(o.batch, together); ++part)
    convolution.run(alone, part * together, std::min(together, o.batch - part * together),
                    {own + omp_get_thread_num() * sizes.each(), static_cast<size_t>(sizes.each())});
}

}  // namespace

std::optional<WinogradTiles> fastest_winograd_planes_tiles(const WinogradSizes& s, double price) { return fastest(s, price, kWeight); }
std::optional<WinogradTiles> fastest_winograd_weight_grad_tiles(const WinogradSizes& s, double price) { return fastest(s, price, 0); }

ConvWorkspace winograd_planes_workspace(const ConvGeometry& g, WinogradTiles tiles, int threads, Isa isa) {
  const ChannelsLastTier& tier = channels_last_tier(isa);
  const auto m = static_cast<int64_t>(tiles);
  const auto bytes = [&](const ConvGeometry& geometry) {
    return static_cast<size_t>(PlanesWorkspace(geometry, tier, m).elements(threads)) * sizeof(float);
  };
  return {bytes(g), has_turned_form(g) ? bytes(input_grad_geometry(g)) : 0, static_cast<size_t>(winograd_weight_grad_elements(g, isa, m, threads)) * sizeof(float)};
}

void winograd_planes_conv(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView w, TensorView y, WinogradTiles tiles,
                          const ConvEpilogue& epilogue, Isa isa) {
  check_conv_weight(g, w.shape);
  check_conv_epilogue(g, y.shape, epilogue);
  ConvOperands<float> o;
  o.batch = check_conv(g, x.shape, y.shape);
  o.x = x.as<float>().data(), o.y = y.as<float>().data(), o.activation = epilogue.activation;
  if (epilogue.bias) o.bias = epilogue.bias.as<float>().data();
  convolve_planes(context, g, isa, static_cast<int64_t>(tiles), o, {w.as<float>().data(), g.channels * 9, 9, false}, "Winograd conv of planes");
}

void winograd_planes_input_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView w, ConstTensorView dy, TensorView dx,
                                WinogradTiles tiles, Isa isa) {
  check_conv_weight(g, w.shape);
  ensure(has_turned_form(g), "the input's gradient by Winograd wants no pads above 2", to_string(w.shape));
  ConvOperands<float> o;
  o.batch = check_conv(g, dx.shape, dy.shape);
  o.x = dy.as<float>().data(), o.y = dx.as<float>().data();
  convolve_planes(context, input_grad_geometry(g), isa, static_cast<int64_t>(tiles), o, {w.as<float>().data(), 9, g.channels * 9, true},
                  "input gradient of Winograd conv");
}

}  // namespace tandem::cpu
