// The public functions of Winograd convolution: views are checked, then handed to the loop nest.
#include "kernels/api/conv_winograd.h"

#include <algorithm>

#include "kernels/cpu/channels_last/winograd.h"
#include "kernels/cpu/gemm/storage.h"

namespace tandem::cpu {
namespace {

// Prices in multiply-adds of a full register tile, measured on Sapphire Rapids (bench/RESULTS.md).
constexpr double kPoint2 = 6, kPoint4 = 11;  // a number to a point, or from it
constexpr double kWeight = 20;               // a float of weights, from memory; products hide it, or it hides them
constexpr int64_t kFullRows = 8;             // fewer rows leave a product waiting for its weights

double direct_cost(const WinogradSizes& s) {
  const double weights = 9.0 * static_cast<double>(s.channels) * static_cast<double>(s.filters);
  return weights * std::max(static_cast<double>(s.batch * s.height * s.width), kWeight);
}

double winograd_cost(const WinogradSizes& s, int64_t m) {
  const double weights = static_cast<double>((m + 2) * (m + 2)) * static_cast<double>(s.channels) * static_cast<double>(s.filters);
  return std::max(winograd_products_cost(s, m), weights * kWeight);
}

}  // namespace

double winograd_products_cost(const WinogradSizes& s, int64_t m) {
  const int64_t tiles = s.batch * ceil_div(s.height, m) * ceil_div(s.width, m), points = (m + 2) * (m + 2);
  const double weights = static_cast<double>(points) * static_cast<double>(s.channels) * static_cast<double>(s.filters);
  const double moved = static_cast<double>(tiles * points) * static_cast<double>(s.channels + s.filters);
  return weights * static_cast<double>(std::max(tiles, kFullRows)) + moved * (m == 2 ? kPoint2 : kPoint4);
}

std::optional<WinogradTiles> fastest_winograd_tiles(const WinogradSizes& s) {
  const double direct = direct_cost(s), two = winograd_cost(s, 2), four = winograd_cost(s, 4);
  if (direct <= std::min(two, four)) return std::nullopt;
  return two < four ? WinogradTiles::kTwo : WinogradTiles::kFour;
}

bool has_winograd_form(const ConvGeometry& g) {
  const Window& w = g.window;
  const Window::Sizes one{1, 1, 1};
  return g.groups == 1 && w.rank == 2 && w.kernel == Window::Sizes{1, 3, 3} && w.stride == one && w.dilation == one;
}

WinogradFilters pack_winograd_filters(const ConvGeometry& g, ConstTensorView w, WinogradTiles tiles, Isa isa) {
  check_conv_weight(g, w.shape);
  ensure(has_winograd_form(g), "Winograd convolution wants 3 x 3 at stride 1", to_string(w.shape), g.groups);
  const ChannelsLastTier& tier = channels_last_tier(isa);
  const auto m = static_cast<int64_t>(tiles);
  WinogradFilters packed;
  packed.isa_ = isa;
  packed.tiles_ = tiles;
  packed.bytes_ = static_cast<size_t>(checked_mul(winograd_filter_elements(g, tier, m), sizeof(float), "Winograd filters"));
  packed.data_ = make_aligned(packed.bytes_);
  if (!w.data) return packed;  // room alone, for panels that were kept
  pack_winograd_panels(g, tier, m, w.as<float>().data(), reinterpret_cast<float*>(packed.data_.get()));
  return packed;
}

size_t conv_winograd_workspace(const ConvGeometry& g, WinogradTiles tiles, int threads, Isa isa) {
  return winograd_workspace(g, channels_last_tier(isa), static_cast<int64_t>(tiles), threads);
}

void conv_winograd(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, const WinogradFilters& w, TensorView y,
                   const ConvEpilogue& epilogue) {
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
  convolve_winograd(context, g, channels_last_tier(w.isa()), static_cast<int64_t>(w.tiles()), o);
}

}  // namespace tandem::cpu
