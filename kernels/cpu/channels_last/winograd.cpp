// The loop nest: a round is as many tiles as the points of which the threads hold; in a round the tiles are transformed, then each panel of filters
// is multiplied at every point, while that block's sums are near, and its outputs are made.
#include "kernels/cpu/channels_last/winograd.h"

#include <omp.h>

#include "kernels/cpu/channels_last/activation.h"
#include "kernels/cpu/channels_last/winograd_grid.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/activation.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBlockFloats = 320 * 1024;  // of a block's points before and after the products: they stay in the second-level cache
constexpr int64_t kNearFloats = 192 * 1024;   // of weights that stay there beside them
constexpr int64_t kLeastTiles = 24, kMostTiles = 240;  // fewer would read weights that are far too often
constexpr int64_t kMostSide = 6;

// One convolution as tiles.
struct Winograd {
  const ConvGeometry& g;
  const ChannelsLastTier& tier;
  int64_t m, n, points;      // outputs and inputs of a tile in each direction; n * n
  bool far;                  // weights do not stay near
  int64_t nr, panels, width; // filters of a panel; channels as whole vectors
  int64_t block_tiles;       // at most: of the channels alone, so that a plan's workspace serves every plane

  Winograd(const ConvGeometry& geometry, const ChannelsLastTier& t, int64_t outputs)
      : g(geometry), tier(t), m(outputs), n(m + 2), points(n * n), far(g.filters * g.channels * points > kNearFloats),
        nr(std::min(far ? t.far_nr : t.nr, round_up(g.filters, t.lanes))), panels(ceil_div(g.filters, nr)), width(round_up(g.channels, t.lanes)) {
    const int64_t fit = std::clamp(kBlockFloats / (points * (width + nr)), kLeastTiles, kMostTiles);
    block_tiles = fit / t.mr * t.mr;
  }

  // Points lie a cache line further apart than their tiles need: at powers of two they would all want the same sets of the cache.
  static int64_t apart(int64_t floats) { return round_up(floats, 16) + 16; }
  int64_t input_stride() const { return apart(block_tiles * width); }
  int64_t sum_stride() const { return apart(block_tiles * nr); }
  int64_t zero_elements() const { return aligned_elements<float>(width); }
  int64_t pointer_elements() const { return aligned_elements<const float*>(block_tiles) * 2; }
  int64_t thread_elements() const { return points * (input_stride() + sum_stride()) + pointer_elements(); }
  int64_t workspace_elements(int64_t threads) const { return zero_elements() + threads * thread_elements(); }
  int64_t panel_elements() const { return points * g.channels * nr; }
  const WinogradTransforms& transforms() const { return m == 2 ? tier.winograd2 : tier.winograd4; }
};

// Some tiles whose points are at hand: [point][tile][channel].
struct Block {
  int64_t first, count;
  const float* points;
  const float* const* rows;  // of each tile, at the first point
};

// One panel of filters: a product at each point.
void multiply_points(const Winograd& w, const Block& block, int64_t panel, const float* filters, float* sums) {
  const int64_t cols = std::min(w.nr, w.g.filters - panel * w.nr), width = round_up(cols, w.tier.lanes);
  const int64_t step = even_step(w.g.channels, kWeightFloats / w.nr);
  ProductBlock product;
  product.rows = block.count, product.cols = width, product.a = block.rows, product.a_run = block.count, product.runs = 1, product.ldc = w.nr;
  product.ahead = w.far ? Ahead::kWeights : Ahead::kNothing;
  product.b = filters + panel * w.panel_elements();
  for (int64_t point = 0; point < w.points; ++point) {
    product.c = sums + point * w.sum_stride();
    for (int64_t k = 0; k < w.g.channels; k += step) {
      product.length = std::min(step, w.g.channels - k), product.offset = point * w.input_stride() + k;
      product.first = k == 0, product.last = k + step >= w.g.channels;
      w.tier.multiply(product);
      product.b += product.length * width;
    }
  }
}

// Its outputs.
void make_outputs(const Winograd& w, const TileGrid& grid, const Block& block, int64_t panel, const ChannelsLastOperands& o, const float* sums) {
  const int64_t filter = panel * w.nr;
  int64_t offsets[kMostSide * kMostSide];
  WinogradOutput out;
  out.point_stride = w.sum_stride(), out.filters = std::min(w.nr, w.g.filters - filter), out.offsets = offsets;
  out.y = o.y + filter;
  out.bias = o.bias ? o.bias + filter : nullptr;
  out.residual = o.residual ? o.residual + filter : nullptr;
  out.finish = finish_of(o.activation);
  for (int64_t t = 0; t < block.count; ++t) {
    grid.outputs(block.first + t, offsets);
    out.points = sums + t * w.nr;
    w.transforms().output(out);
    if (in_channels_last_tile(o.activation)) continue;
    for (int64_t i = 0; i < w.m * w.m; ++i)
      if (offsets[i] >= 0) activate(o.activation, out.y + offsets[i], w.g.filters, 1, out.filters);
  }
}

// Where the parts of the workspace lie.
struct Scratch {
  const Winograd& w;
  float *zeros, *inputs, *sums;
  const float** rows;

  Scratch(const Winograd& winograd, const KernelContext& context) : w(winograd) {
    zeros = workspace_of<float>(context.workspace, w.workspace_elements(context.threads), "Winograd conv");
    inputs = zeros + w.zero_elements();
    sums = inputs + context.threads * w.points * w.input_stride();
    rows = reinterpret_cast<const float**>(sums + context.threads * w.points * w.sum_stride());
  }
  float* block_inputs(int64_t block) const { return inputs + block * w.points * w.input_stride(); }
  const float** block_rows(int64_t block) const { return rows + block * w.block_tiles; }
  float* thread_sums() const { return sums + omp_get_thread_num() * w.points * w.sum_stride(); }
};

// The tiles [first, first + count) of a round in equal blocks, one for each thread where panels alone do not share evenly.
class Round {
 public:
  Round(const Winograd& w, int64_t first, int64_t count, int64_t threads) : first_(first), count_(count) {
    blocks = ceil_div(count, w.block_tiles);
    if (blocks * w.panels % threads != 0) blocks = std::min(count, threads);
  }
  int64_t begin(int64_t block) const { return first_ + count_ * block / blocks; }
  int64_t block_of(int64_t tile) const { return ((tile - first_ + 1) * blocks - 1) / count_; }
  int64_t end() const { return first_ + count_; }
  int64_t blocks;

 private:
  int64_t first_, count_;
};

}  // namespace

int64_t winograd_panel(const ConvGeometry& g, const ChannelsLastTier& tier, int64_t m) { return Winograd(g, tier, m).nr; }

size_t winograd_workspace(const ConvGeometry& g, const ChannelsLastTier& tier, int64_t m, int threads) {
  return static_cast<size_t>(Winograd(g, tier, m).workspace_elements(threads)) * sizeof(float);
}

void convolve_winograd(const KernelContext& context, const ConvGeometry& g, const ChannelsLastTier& tier, int64_t m, const ChannelsLastOperands& o) {
  const Winograd w(g, tier, m);
  const TileGrid grid(g, m);
  const Scratch scratch(w, context);
  std::fill_n(scratch.zeros, w.zero_elements(), 0.0f);
  const int64_t tiles = o.batch * grid.plane(), threads = worth_a_team(ConvShape(g), o.batch) ? context.threads : 1;
  const int64_t rounds = ceil_div(tiles, threads * w.block_tiles);
#pragma omp parallel num_threads(static_cast<int>(threads)) if (threads > 1)
  for (int64_t r = 0; r < rounds; ++r) {
    const int64_t first = tiles * r / rounds;
    const Round round(w, first, tiles * (r + 1) / rounds - first, threads);
#pragma omp for schedule(static)
    for (int64_t t = first; t < round.end(); ++t) {
      const int64_t block = round.block_of(t), at = t - round.begin(block);
      const float* pixels[kMostSide * kMostSide];
      grid.point_at_pixels(t, o.x, scratch.zeros, pixels);
      float* points = scratch.block_inputs(block) + at * w.width;
      scratch.block_rows(block)[at] = points;
      w.transforms().input({pixels, g.channels, points, w.input_stride()});
    }
#pragma omp for schedule(static)
    for (int64_t unit = 0; unit < round.blocks * w.panels; ++unit) {
      const int64_t b = unit / w.panels, panel = unit % w.panels;
      const Block block{round.begin(b), round.begin(b + 1) - round.begin(b), scratch.block_inputs(b), scratch.block_rows(b)};
      multiply_points(w, block, panel, o.w, scratch.thread_sums());
      make_outputs(w, grid, block, panel, o, scratch.thread_sums());
    }
  }
}

}  // namespace tandem::cpu
