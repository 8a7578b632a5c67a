// Gradient to the weights by Winograd's short convolutions: dW = G^T (sum over tiles of (A dY A^T) * (B^T X B)) G, the transpose of what the forward
// pass does with W, so at each point one product [filters, tiles] * [tiles, channels].
//
// Some images at a time are turned to rows; some of their tiles at a time are taken to points, [point][tile][channel], of which the product of a
// point adds to its sums. Threads share images, tiles, then points and filters: every sum has one owner, which adds in the order of the tiles.
#include <omp.h>

#include "kernels/api/conv_winograd_planes.h"
#include "kernels/cpu/channels_last/winograd.h"
#include "kernels/cpu/channels_last/winograd_grid.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/blocking.h"
#include "kernels/cpu/plane_rows.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPointFloats = 2 << 20;                  // of the tiles whose points are at hand at once
constexpr int64_t kLeastTiles = 64, kMostTiles = 192;       // fewer would read and write sums too often
constexpr int64_t kTogether = 512 * 1024;                   // floats of images that are turned at once, and of their slopes
constexpr int64_t kMostSide = 6;

// One pass over the batch.
struct WeightSums {
  const ConvGeometry& g;
  const ChannelsLastTier& tier;
  const GemmTier<float>& products;
  int64_t m, points;
  int64_t width;                // of a filter's sums: channels as whole vectors
  int64_t x_width, dy_width;    // of a tile at one point: read by whole panels, and no power of two, whose lines share few sets of the cache
  int64_t tiles;                // of a round: of the channels alone, so that a plan's workspace serves every plane
  int64_t image;                // floats of an image and its slopes
  int64_t images;               // of those that are turned at once

  WeightSums(const ConvGeometry& geometry, Isa isa, int64_t outputs)
      : g(geometry), tier(channels_last_tier(isa)), products(gemm_tier<float>(isa)), m(outputs), points((m + 2) * (m + 2)),
        width(round_up(g.channels, tier.lanes)), x_width(apart(g.channels, products.nr)), dy_width(apart(g.filters, products.mr)),
        tiles(std::clamp(kPointFloats / (points * (x_width + dy_width)), kLeastTiles, kMostTiles)),
        image(std::max<int64_t>(1, g.channels * g.window.input_size() + g.filters * g.window.output_size())),
        images(std::max(image, kTogether)) {}

  int64_t apart(int64_t floats, int64_t panel) const { return round_up(round_up(floats, panel) + 1, 2 * kLine) + kLine; }
  int64_t zeros_elements() const { return aligned_elements<float>(std::max(width, round_up(g.filters, tier.lanes))); }
  int64_t sums_elements() const { return points * g.filters * width; }
  int64_t x_stride() const { return tiles * x_width + kLine; }  // of points, which would share sets too
  int64_t dy_stride() const { return tiles * dy_width + kLine; }
  int64_t x_elements() const { return points * x_stride(); }
  int64_t dy_elements() const { return points * dy_stride(); }
  int64_t taps_elements() const { return 9 * width; }
  int64_t elements(int threads) const {
    return zeros_elements() + aligned_elements<float>(sums_elements()) + x_elements() + dy_elements() + aligned_elements<float>(images) +
           threads * aligned_elements<float>(taps_elements());
  }
  const WinogradTransforms& transforms() const { return m == 2 ? tier.winograd2 : tier.winograd4; }

 private:
  static constexpr int64_t kLine = 16;  // floats of a cache line
};

// Where the parts of the workspace lie.
struct Scratch {
  float *zeros, *sums, *x_points, *dy_points, *images, *taps;
  Scratch(const WeightSums& w, const KernelContext& context) {
    zeros = workspace_of<float>(context.workspace, w.elements(context.threads), "weight gradient of Winograd conv");
    sums = zeros + w.zeros_elements();
    x_points = sums + aligned_elements<float>(w.sums_elements());
    dy_points = x_points + w.x_elements();
    images = dy_points + w.dy_elements();
    taps = images + aligned_elements<float>(w.images);
    std::fill_n(zeros, w.zeros_elements(), 0.0f);
  }
};

// The points of tile `t`, place `at` of its round. REQUIRES rows of x at `x`, of slopes at `dy`.
void make_points(const WeightSums& w, const TileGrid& grid, const Scratch& scratch, int64_t t, int64_t at, const float* x, const float* dy) {
  const float* pixels[kMostSide * kMostSide];
  grid.point_at_pixels(t, x, scratch.zeros, pixels);
  w.transforms().input({pixels, w.g.channels, scratch.x_points + at * w.x_width, w.x_stride()});
  int64_t offsets[kMostSide * kMostSide];
  grid.outputs(t, offsets);
  for (int64_t i = 0; i < w.m * w.m; ++i) pixels[i] = offsets[i] < 0 ? scratch.zeros : dy + offsets[i];
  w.transforms().slopes({pixels, w.g.filters, scratch.dy_points + at * w.dy_width, w.dy_stride()});
}

// sums[point][first .. last) += the products of a round's tiles.
void add_products(const WeightSums& w, const Scratch& scratch, int64_t point, int64_t first, int64_t last, int64_t count, bool accumulate) {
  GemmBlock<float> block;
  block.rows = last - first, block.cols = w.width, block.k = count;
  block.a = scratch.dy_points + point * w.dy_stride() + first, block.a_tile = w.products.mr, block.a_k = w.dy_width;
  block.b = scratch.x_points + point * w.x_stride(), block.b_panel = w.products.nr, block.b_k = w.x_width;
  block.c = scratch.sums + (point * w.g.filters + first) * w.width, block.ldc = w.width;
  block.accumulate = accumulate;
  w.products.multiply(block);
}

}  // namespace

int64_t winograd_weight_grad_elements(const ConvGeometry& g, Isa isa, int64_t m, int threads) { return WeightSums(g, isa, m).elements(threads); }

void winograd_planes_weight_grad(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView dy, TensorView dw,
                                 WinogradTiles tiles, Isa isa) {
  check_conv_weight(g, dw.shape);
  ensure(has_winograd_form(g), "Winograd convolution wants 3 x 3 at stride 1", to_string(dw.shape), g.groups);
  const int64_t batch = check_conv(g, x.shape, dy.shape);
  const WeightSums w(g, isa, static_cast<int64_t>(tiles));
  const TileGrid grid(g, w.m);
  const Scratch scratch(w, context);
  const float *x_planes = x.as<float>().data(), *dy_planes = dy.as<float>().data();
  float* out = dw.as<float>().data();
  const int64_t pixels = g.window.input_size(), outputs = g.window.output_size();
  const int64_t together = std::clamp<int64_t>(ceil_div(w.tiles, std::max<int64_t>(1, grid.plane())), 1, std::max<int64_t>(1, w.images / w.image));
  const int64_t rows = ceil_div(g.filters, w.products.mr), parts = std::min(rows, ceil_div(4 * context.threads, w.points));
  if (batch == 0 || grid.plane() == 0) return void(std::fill_n(out, dw.shape.elements(), 0.0f));
#pragma omp parallel num_threads(context.threads) if (worth_a_team(ConvShape(g), batch))
  {
    for (int64_t image = 0; image < batch; image += together) {
      const int64_t count = std::min(together, batch - image);
      float *x_rows = scratch.images, *dy_rows = x_rows + count * g.channels * pixels;
#pragma omp for schedule(static)
      for (int64_t i = 0; i < 2 * count; ++i) {
        const int64_t n = i / 2;
        if (i % 2 == 0) turn_planes(w.products, x_planes + (image + n) * g.channels * pixels, g.channels, pixels, x_rows + n * g.channels * pixels);
        else turn_planes(w.products, dy_planes + (image + n) * g.filters * outputs, g.filters, outputs, dy_rows + n * g.filters * outputs);
      }
      const int64_t all = count * grid.plane(), step = even_step(all, w.tiles);
      for (int64_t first = 0; first < all; first += step) {
        const int64_t end = std::min(all, first + step);
#pragma omp for schedule(static)
        for (int64_t t = first; t < end; ++t) make_points(w, grid, scratch, t, t - first, x_rows, dy_rows);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < w.points * parts; ++i) {
          const int64_t part = i % parts, from = rows * part / parts * w.products.mr, to = std::min(g.filters, rows * (part + 1) / parts * w.products.mr);
          add_products(w, scratch, i / parts, from, to, end - first, image + first > 0);
        }
      }
    }
    float* taps = scratch.taps + omp_get_thread_num() * aligned_elements<float>(w.taps_elements());
#pragma omp for schedule(static)
    for (int64_t f = 0; f < g.filters; ++f) {
      w.transforms().kernel_slopes({scratch.sums + f * w.width, g.filters * w.width, g.channels, taps, w.width});
      w.products.pack({taps, w.width, 1, 9, g.channels}, 9, out + f * g.channels * 9);
    }
  }
}

}  // namespace tandem::cpu
