// Filters at the points of Winograd's tiles: G w G^T, in double, rounded once.
#include "kernels/cpu/channels_last/winograd.h"
#include "kernels/cpu/channels_last/winograd_line.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

// Row i of G: (1, p, p^2) / the product of p - q over all other points q; at infinity (0, 0, 1).
template <int M>
struct PointMatrix {
  static constexpr int N = M + 2;
  double row[N][3];

  constexpr PointMatrix() : row{} {
    for (int i = 0; i < N - 1; ++i) {
      const double p = WinogradLine<M>::kPoints[i];
      double scale = 1;
      for (int j = 0; j < N - 1; ++j)
        if (j != i) scale *= p - WinogradLine<M>::kPoints[j];
      row[i][0] = 1 / scale, row[i][1] = p / scale, row[i][2] = p * p / scale;
    }
    row[N - 1][2] = 1;
  }
};

// The 3 x 3 numbers at `w`, at N x N points `stride` apart.
template <int M>
void to_points(const float* w, float* points, int64_t stride) {
  static constexpr PointMatrix<M> g;
  constexpr int N = PointMatrix<M>::N;
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

}  // namespace tandem::cpu
