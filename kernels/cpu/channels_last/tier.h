// What one instruction-set tier offers to channels-last convolutions. Plain data only, because it is read by files compiled with tier
// flags.
#pragma once

#include <cstdint>

#include "kernels/api/isa.h"

namespace tandem::cpu {

inline constexpr int64_t kWeightFloats = 8 * 1024;  // of a panel and a block of the reduction: they stay in the first-level cache

// What a tile fetches for those after it: nothing; the next one's pixels and rows of the result and of the residual; weights and rows of the residual.
enum class Ahead : uint8_t { kNothing, kPixels, kWeights };

// What is done with a sum before it is stored. NaN stays.
struct TileFinish {
  enum Kind { kNothing, kBounds, kSwish };
  Kind kind = kNothing;
  float low = 0, high = 0;               // min(high, max(low, s))
  float alpha = 1;                       // s * sigmoid(alpha * s)
};

// c[rows, cols] = finish(start + sum over runs and k of A * B), where a row of A is, for each run, `length` floats anywhere in memory.
// Every element is summed in the order of (run, k), one multiply-add at a time, whatever the tiling. No runs: c = finish(start).
struct ProductBlock {
  int64_t rows = 0, cols = 0;            // cols <= nr
  const float* const* a = nullptr;       // run g of row r begins at a[g * a_run + r] + offset
  const int32_t* places = nullptr;       // of each row, which row of a, of c and of the residual it is; null: the same
  int64_t a_run = 0, offset = 0;
  int64_t runs = 0, length = 0;
  const float* b = nullptr;              // step (g, k) at b[(g * length + k) * width]; width: cols rounded up to vectors
  int64_t tile_rows = 0;                 // of a tile, at most; 0: as many as it has
  Ahead ahead = Ahead::kNothing;         // kPixels: A, C or the residual lie beyond the second-level cache; kWeights: B does
  float* c = nullptr;
  int64_t ldc = 0;
  bool first = true, last = true;        // of the blocks that are summed: the first starts from bias + residual, the others from c
  const float* bias = nullptr;           // [cols]; null: 0
  const float* residual = nullptr;       // laid out as c; null: none
  TileFinish finish;                     // of the last
};

// One line of output pixels, in vectors of channels: c[pixel] = finish(bias + sum over taps of x[pixel, tap] * w[tap] + residual).
// A pixel's tap lies pixel * x_pixel + tap * x_tap numbers from x; only those in [begin, end) are inside the image, and read.
// Number: of the image, the result and the residual. Sums are f32.
// Or two lines of a 3 x 3 kernel at stride 1, the second `c_line` numbers behind the first: x has the four lines under both, null outside the image,
// w the three of the kernel, and channels are whole vectors.
template <class Number>
struct DepthwisePixelsOf {
  int64_t pixels = 0, channels = 0;
  const Number* const* x = nullptr;      // kernel line i of the first pixel's first tap, which may be outside
  int64_t begin = 0, end = 0;
  const float* const* w = nullptr;       // kernel line i: for each tap, `w_tap` apart, `channels` weights
  int64_t lines = 0, taps = 0;           // kernel lines inside the image (of two lines all), taps of each
  int64_t x_pixel = 0, x_tap = 0, w_tap = 0;
  Number* c = nullptr;
  int64_t ldc = 0, c_line = 0;           // c_line: 0 for one line
  const float* bias = nullptr;           // [channels]; null: 0
  const Number* residual = nullptr;      // laid out as c; null: none
  TileFinish finish;
};
using DepthwisePixels = DepthwisePixelsOf<float>;

// A tile of M x M outputs of a Winograd convolution reads N x N pixels, N = M + 2, and is N x N points between (winograd_tile.h).
struct WinogradInput {
  const float* const* pixels = nullptr;  // N x N, each a row of channels (zeros outside the image)
  int64_t channels = 0;
  float* points = nullptr;               // point (i, j) at points[(i * N + j) * point_stride], channels rounded up to whole vectors
  int64_t point_stride = 0;
};
struct WinogradOutput {
  const float* points = nullptr;         // as above, filters in place of channels
  int64_t point_stride = 0, filters = 0;
  const int64_t* offsets = nullptr;      // M x M: where a pixel lies in y and in the residual; negative: outside
  float* y = nullptr;
  const float* bias = nullptr;           // [filters]; null: 0
  const float* residual = nullptr;       // null: none
  TileFinish finish;
};
// The 3 x 3 kernels of a line of filters, tap t at taps[t * tap_stride], and their points, whole vectors of filters.
struct WinogradKernels {
  const float* taps = nullptr;
  int64_t tap_stride = 0, filters = 0;
  bool turned = false;                   // taps are read from last to first
  float* points = nullptr;
  int64_t point_stride = 0;
};
struct WinogradKernelSlopes {
  const float* points = nullptr;
  int64_t point_stride = 0, channels = 0;
  float* taps = nullptr;                 // tap t at taps[t * tap_stride], whole vectors of channels
  int64_t tap_stride = 0;
};
struct WinogradTransforms {
  void (*input)(const WinogradInput&);
  void (*output)(const WinogradOutput&);
  void (*kernels)(const WinogradKernels&);
  void (*slopes)(const WinogradInput&);  // of M x M pixels: transposed `output`
  void (*kernel_slopes)(const WinogradKernelSlopes&);  // transposed `kernels`
};

struct ChannelsLastTier {
  int64_t mr, nr, far_nr, lanes;         // the most rows and columns of a tile, columns if B is far, columns of a vector
  void (*multiply)(const ProductBlock&);
  void (*depthwise)(const DepthwisePixels&);
  bool depthwise_pairs;                  // takes two lines
  WinogradTransforms winograd2, winograd4;  // of tiles of 2 x 2 and 4 x 4 outputs
};

const ChannelsLastTier& channels_last_tier(Isa isa);

// Whether tiles are no slower on weights in the second-level cache than on those in the first. In kernels/cpu/architecture/.
bool multiplies_from_second_level();

}  // namespace tandem::cpu
