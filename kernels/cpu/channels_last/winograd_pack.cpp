// Filters at the points of Winograd's tiles: G w G^T, in double, rounded once, or, for filters that change with every step, in f32, by vectors.
#include "kernels/cpu/channels_last/winograd.h"
#include "kernels/cpu/channels_last/winograd_line.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kMostPanel = 64;  // filters, on any tier

// The 3 x 3 numbers at `w`, at N x N points `stride` apart.
template <int M>
void to_points(const float* w, float* points, int64_t stride) {
  static constexpr WinogradKernelMatrix<M> g;
  constexpr int N = M + 2;
  double lines[N][3];
  for (int i = 0; i < N; ++i)
    for (int j = 0; j < 3; ++j) lines[i][j] = g.row[i][0] * double(w[j]) + g.row[i][1] * double(w[3 + j]) + g.row[i][2] * double(w[6 + j]);
  for (int i = 0; i < N; ++i)
    for (int j = 0; j < N; ++j, points += stride)
      *points = static_cast<float>(lines[i][0] * g.row[j][0] + lines[i][1] * g.row[j][1] + lines[i][2] * g.row[j][2]);
}

}  // namespace

int64_t winograd_filter_elements(const ConvGeometry& g, const ChannelsLastTier& tier, int64_t m) {
  return (m + 2) * (m + 2) * g.channels * round_up(g.filters, tier.lanes);
}

void pack_winograd_panels(const ConvGeometry& g, const ChannelsLastTier& tier, int64_t m, const float* w, float* panels) {
  static constexpr float kNothing[9] = {};
  const int64_t nr = winograd_panel(g, tier, m);
  for (int64_t first = 0; first < g.filters; first += nr) {
    const int64_t count = std::min(nr, g.filters - first), width = round_up(count, tier.lanes), stride = g.channels * width;
    for (int64_t c = 0; c < g.channels; ++c)
      for (int64_t f = 0; f < width; ++f) {
        const float* from = f < count ? w + ((first + f) * g.channels + c) * 9 : kNothing;
        float* to = panels + c * width + f;
        if (m == 2) to_points<2>(from, to, stride);
        else to_points<4>(from, to, stride);
      }
    panels += (m + 2) * (m + 2) * stride;
  }
}

void pack_winograd_panels(const ConvGeometry& g, const ChannelsLastTier& tier, const GemmTier<float>& turning, int64_t m,
                          const KernelsOf& kernels, float* panels, int threads) {
  const int64_t nr = winograd_panel(g, tier, m), points = (m + 2) * (m + 2), count = ceil_div(g.filters, nr);
  const WinogradTransforms& transforms = m == 2 ? tier.winograd2 : tier.winograd4;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && g.filters * g.channels > 4 * 1024)
  for (int64_t i = 0; i < count * g.channels; ++i) {
    const int64_t first = i / g.channels * nr, c = i % g.channels, filters = std::min(nr, g.filters - first);
    const int64_t width = round_up(filters, tier.lanes);
    alignas(64) float taps[9 * kMostPanel];
    turning.pack({kernels.w + first * kernels.filter + c * kernels.channel, kernels.filter, 1, filters, 9}, width, taps);
    transforms.kernels({taps, width, width, kernels.turned, panels + first * points * g.channels + c * width, g.channels * width});
  }
}

}  // namespace tandem::cpu
