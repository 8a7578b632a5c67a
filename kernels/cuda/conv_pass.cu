// Implicit GEMM: a block makes kRows channels by 128 pixels of the target, while channels and taps run through shared memory 16
// at a time.
//
// Weights and source are read once per tile row or column of the other (neighbouring blocks share pixels, so the source is in
// L2), the target is written once, by whole lines. The next 16 are on their way while 16 are multiplied. A thread sums an element
// over all its channels and taps in order: the bits depend on nothing but the geometry. Depthwise: a thread a pixel, straight
// from L1.
#include "kernels/cuda/conv_pass.cuh"

#include <algorithm>

#include "kernels/base/checked.h"
#include "kernels/cuda/device/activation.cuh"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/number.cuh"

namespace tandem::cuda {
namespace {

constexpr int kThreads = 256, kColumns = 128, kDepth = 16;
constexpr int kOutside = -(1 << 30);  // added to any coordinate, is out of the source

// Where a block works: the phase's axes and what comes before its pixels.
struct PassBlock {
  PassAxis axes[3];
  int group, row0;
  int64_t column0;
};

// Blocks are numbered with rows fastest, then columns, groups, phases: those that run together read the same pixels. Threads 0 to
// 2 fill one axis each; the caller's barrier follows.
template <int kRows, int kWidth>
__device__ void place_block(const ConvPass& p, uint32_t column_tiles, PassBlock& block) {
  const uint32_t row_tiles = (p.rows + kRows - 1) / kRows;
  uint32_t at = blockIdx.x;
  const uint32_t row_tile = at % row_tiles;
  at /= row_tiles;
  const uint32_t column_tile = at % column_tiles;
  at /= column_tiles;
  const uint32_t group = at % p.groups;
  uint32_t phase = at / p.groups;
  if (threadIdx.x == 0) {
    block.group = group;
    block.row0 = row_tile * kRows;
    block.column0 = static_cast<int64_t>(column_tile) * kWidth;
  }
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    if (static_cast<int>(threadIdx.x) == i) block.axes[i] = p.axis(i, phase % p.phases[i]);
    phase /= p.phases[i];
  }
}

// A pixel of the phase, over the batch.
struct Column {
  int64_t image;  // -1: beyond the last
  int at[3];
};

__device__ Column locate(const ConvPass& p, const PassAxis (&axes)[3], int64_t column) {
  const int64_t pixels = static_cast<int64_t>(axes[0].count) * axes[1].count * axes[2].count;
  if (column >= p.batch * pixels) return {-1, {0, 0, 0}};
  const bool small = column <= 0xffffffff && pixels <= 0xffffffff;
  const int64_t image = small ? static_cast<uint32_t>(column) / static_cast<uint32_t>(pixels) : column / pixels;
  const uint32_t pixel = static_cast<uint32_t>(column - image * pixels), line = pixel / axes[2].count;
  return {
      image,
      {static_cast<int>(line / axes[1].count), static_cast<int>(line % axes[1].count), static_cast<int>(pixel % axes[2].count)}};
}

// The element of channel 0 of the group's target that a column makes.
__device__ int64_t target_index(const ConvPass& p, const PassBlock& block, const Column& column) {
  int64_t pixel = 0;
#pragma unroll
  for (int i = 0; i < 3; ++i) pixel = pixel * p.target[i] + block.axes[i].target_first + column.at[i] * block.axes[i].target_step;
  return (column.image * p.groups + block.group) * p.rows * p.target_size() + pixel;
}

// One channel and tap of the source: what it adds to a pixel's coordinates, to its address and to that of the weight.
struct __align__(16) TapEntry {
  int64_t source, weight;  // weight -1: beyond the last
  int at[3];
};

__device__ TapEntry tap_entry(const ConvPass& p, const PassAxis (&axes)[3], int k) {
  const int taps = axes[0].taps * axes[1].taps * axes[2].taps;
  if (k >= p.channels * taps) return {0, -1, {kOutside, 0, 0}};
  const int channel = k / taps, tap = k - channel * taps, line = tap / axes[2].taps;
  const int taps_at[3] = {line / axes[1].taps, line % axes[1].taps, tap % axes[2].taps};
  TapEntry entry;
  int64_t pixel = 0, weight = 0;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    entry.at[i] = taps_at[i] * axes[i].tap_distance;
    pixel = pixel * p.source[i] + entry.at[i];
    weight = weight * p.kernel[i] + axes[i].tap_first + taps_at[i] * axes[i].tap_step;
  }
  entry.source = channel * p.source_size() + pixel;
  entry.weight = channel * p.weight_channel + weight;
  return entry;
}

// Where the taps of one column start in the source.
template <class T>
struct SourcePixel {
  const T* data;  // may point before the source: only taps inside are read
  int at[3];

  __device__ SourcePixel(const ConvPass& p, const PassBlock& block, const T* source, const Column& column) {
    int64_t pixel = 0;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      at[i] = block.axes[i].base + column.at[i] * block.axes[i].step;
      pixel = pixel * p.source[i] + at[i];
    }
    data = source + (column.image * p.groups + block.group) * p.channels * p.source_size() + pixel;
    if (column.image < 0) at[0] = kOutside;
  }
  __device__ Compute<T> tap(const ConvPass& p, const TapEntry& entry) const {
    const bool inside = static_cast<unsigned>(at[0] + entry.at[0]) < static_cast<unsigned>(p.source[0]) &&
                        static_cast<unsigned>(at[1] + entry.at[1]) < static_cast<unsigned>(p.source[1]) &&
                        static_cast<unsigned>(at[2] + entry.at[2]) < static_cast<unsigned>(p.source[2]);
    return inside ? widen(data[entry.source]) : Compute<T>(0);
  }
};

template <class T>
__device__ void finish(const PassTarget<T>& target, int64_t channel, int64_t at, Compute<T> sum) {
  if (target.bias) sum += widen(target.bias[channel]);
  if (target.residual) sum += widen(target.residual[at]);
  target.data[at] = narrow<T>(activate(target.activation, sum));
}

// 16 channels and taps on their way to shared memory: kRows x 16 weights and 16 x 128 source elements.
template <class T, int kRows>
struct Step {
  static constexpr int kWeights = kRows * kDepth / kThreads, kSources = kColumns * kDepth / kThreads;
  static constexpr int kStride = kRows + 16 / sizeof(Compute<T>);  // spreads the transposing stores over the banks
  Compute<T> weights[kWeights], sources[kSources];

  __device__ void load(const ConvPass& p, const PassBlock& block, const T* group_weights, const SourcePixel<T>& pixel,
                       const TapEntry (&table)[kDepth]) {
    const int64_t weight = table[threadIdx.x % kDepth].weight;
#pragma unroll
    for (int i = 0; i < kWeights; ++i) {
      const int row = block.row0 + threadIdx.x / kDepth + i * (kThreads / kDepth);
      weights[i] = weight >= 0 && row < p.rows ? widen(group_weights[row * p.weight_row + weight]) : Compute<T>(0);
    }
#pragma unroll
    for (int i = 0; i < kSources; ++i) sources[i] = pixel.tap(p, table[threadIdx.x / kColumns + i * (kThreads / kColumns)]);
  }
  __device__ void store(Compute<T>* a, Compute<T>* b) const {
#pragma unroll
    for (int i = 0; i < kWeights; ++i)
      a[threadIdx.x % kDepth * kStride + threadIdx.x / kDepth + i * (kThreads / kDepth)] = weights[i];
#pragma unroll
    for (int i = 0; i < kSources; ++i) b[threadIdx.x + i * kThreads] = sources[i];
  }
};

// A warp makes kEach rows; a lane every 32nd column of them.
template <class T, int kEach>
__global__ void __launch_bounds__(kThreads, 2)
    conv_tiles(ConvPass p, uint32_t column_tiles, const T* source, const T* weights, PassTarget<T> target) {
  constexpr int kRows = kEach * kThreads / 32, kAcross = kColumns / 32;
  using Scalar = Compute<T>;
  using S = Step<T, kRows>;
  __shared__ PassBlock block;
  __shared__ TapEntry tables[2][kDepth];
  __shared__ __align__(16) Scalar a[2][kDepth * S::kStride];
  __shared__ Scalar b[2 * kDepth * kColumns];
  place_block<kRows, kColumns>(p, column_tiles, block);
  __syncthreads();
  const SourcePixel<T> pixel(p, block, source, locate(p, block.axes, block.column0 + threadIdx.x % kColumns));
  const T* group_weights = weights + static_cast<int64_t>(block.group) * p.rows * p.channels * p.kernel_size();
  const int depth = p.channels * block.axes[0].taps * block.axes[1].taps * block.axes[2].taps;
  const auto fill_table = [&](int k) {
    if (threadIdx.x < kDepth) tables[k / kDepth % 2][threadIdx.x] = tap_entry(p, block.axes, k + threadIdx.x);
  };
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * kEach;
  Scalar sums[kEach][kAcross] = {};
  S step;
  fill_table(0);
  __syncthreads();
  step.load(p, block, group_weights, pixel, tables[0]);
  step.store(a[0], b);
  fill_table(kDepth);
  __syncthreads();
  for (int k = 0; k < depth; k += kDepth) {
    const int now = k / kDepth % 2;
    const bool more = k + kDepth < depth;
    if (more) step.load(p, block, group_weights, pixel, tables[now ^ 1]);
#pragma unroll 4
    for (int i = 0; i < kDepth; ++i) {
      Scalar left[kEach], right[kAcross];
#pragma unroll
      for (int r = 0; r < kEach; ++r) left[r] = a[now][i * S::kStride + row + r];
#pragma unroll
      for (int c = 0; c < kAcross; ++c) right[c] = b[(now * kDepth + i) * kColumns + lane + 32 * c];
#pragma unroll
      for (int r = 0; r < kEach; ++r)
#pragma unroll
        for (int c = 0; c < kAcross; ++c) sums[r][c] += left[r] * right[c];
    }
    if (more) step.store(a[now ^ 1], b + (now ^ 1) * kDepth * kColumns);
    if (more) fill_table(k + 2 * kDepth);
    __syncthreads();
  }
  // Finished sums go through shared memory, four rows a warp at once: one thread then finishes one column, neighbours
  // neighbouring ones.
  const Column column = locate(p, block.axes, block.column0 + threadIdx.x % kColumns);
  const int64_t first = target_index(p, block, column);
#pragma unroll
  for (int slab = 0; slab < kEach; slab += 4) {
#pragma unroll
    for (int r = 0; r < 4; ++r)
#pragma unroll
      for (int c = 0; c < kAcross; ++c) b[(row / kEach * 4 + r) * kColumns + lane + 32 * c] = sums[slab + r][c];
    __syncthreads();
#pragma unroll 1
    for (int i = threadIdx.x / kColumns; i < kThreads / 32 * 4; i += kThreads / kColumns) {
      const int channel = block.row0 + i / 4 * kEach + slab + i % 4;
      if (column.image >= 0 && channel < p.rows)
        finish(target, block.group * p.rows + channel, first + channel * p.target_size(),
               b[i * kColumns + threadIdx.x % kColumns]);
    }
    __syncthreads();
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    conv_depthwise(ConvPass p, uint32_t column_tiles, const T* source, const T* weights, PassTarget<T> target) {
  __shared__ PassBlock block;
  place_block<1, kThreads>(p, column_tiles, block);
  __syncthreads();
  const Column column = locate(p, block.axes, block.column0 + threadIdx.x);
  if (column.image < 0) return;  // no barrier follows
  const SourcePixel<T> pixel(p, block, source, column);
  const PassAxis(&axes)[3] = block.axes;
  const T* filter =
      weights + static_cast<int64_t>(block.group) * p.rows * p.channels * p.kernel_size() + block.row0 * p.weight_row;
  Compute<T> sum = 0;
  for (int channel = 0; channel < p.channels; ++channel)
    for (int d = 0; d < axes[0].taps; ++d)
      for (int l = 0; l < axes[1].taps; ++l)
        for (int c = 0; c < axes[2].taps; ++c) {
          TapEntry entry = {0, 0, {d * axes[0].tap_distance, l * axes[1].tap_distance, c * axes[2].tap_distance}};
          const int line = (axes[0].tap_first + d * axes[0].tap_step) * p.kernel[1] + axes[1].tap_first + l * axes[1].tap_step;
          const int64_t tap = static_cast<int64_t>(line) * p.kernel[2] + axes[2].tap_first + c * axes[2].tap_step;
          entry.source = channel * p.source_size() +
                         (static_cast<int64_t>(entry.at[0]) * p.source[1] + entry.at[1]) * p.source[2] + entry.at[2];
          sum += widen(filter[channel * p.weight_channel + tap]) * pixel.tap(p, entry);
        }
  finish(target, block.group * p.rows + block.row0, target_index(p, block, column) + block.row0 * p.target_size(), sum);
}

template <auto kernel, int kRows, int kWidth, class T>
void launch_pass(const KernelContext& context, const ConvPass& p, const T* source, const T* weights,
                 const PassTarget<T>& target) {
  const int64_t column_tiles = ceil_div(p.columns(), int64_t{kWidth});
  const int64_t blocks =
      checked_mul(ceil_div(p.rows, int64_t{kRows}) * p.groups * p.phase_count(), column_tiles, "blocks of a convolution");
  launch<kernel>(context, {.blocks = blocks, .threads = kThreads}, p, static_cast<uint32_t>(column_tiles), source, weights,
                 target);
}

}  // namespace

int conv_size(int64_t size) {
  require(size <= int64_t{1} << 28, "a convolution on a GPU has sizes of at most 2^28", size);
  return static_cast<int>(size);
}

ConvPass::ConvPass(const ConvGeometry& g, int64_t images, bool backwards)
    : transposed(backwards),
      groups(conv_size(g.groups)),
      rows(conv_size((backwards ? g.channels : g.filters) / g.groups)),
      channels(conv_size((backwards ? g.filters : g.channels) / g.groups)),
      batch(images) {
  const Window& w = g.window;
  for (size_t i = 0; i < 3; ++i) {
    source[i] = conv_size(backwards ? w.output[i] : w.input[i]);
    target[i] = conv_size(backwards ? w.input[i] : w.output[i]);
    kernel[i] = conv_size(w.kernel[i]);
    stride[i] = w.output[i] == 1 ? 1 : conv_size(w.stride[i]);  // one step only: its width does not matter
    dilation[i] = w.kernel[i] == 1 ? 1 : conv_size(w.dilation[i]);
    pad[i] = conv_size(w.pad_begin[i]);
    conv_size(kernel[i] * int64_t{dilation[i]});
    phases[i] = backwards ? std::min(stride[i], target[i]) : 1;
  }
  for (int64_t size : {w.input_size(), w.output_size()})
    require(size < int64_t{1} << 31, "a convolution on a GPU takes planes of less than 2^31 pixels", size);
  const int64_t taps = w.kernel_size(), filter = g.channels / g.groups * taps;
  require(g.filters / g.groups * filter < int64_t{1} << 31, "a group of filters on a GPU has less than 2^31 weights", g.filters,
          filter);
  weight_row = backwards ? taps : filter;
  weight_channel = backwards ? filter : taps;
}

int64_t ConvPass::columns() const {
  int64_t pixels = batch;
#pragma unroll
  for (int i = 0; i < 3; ++i) pixels *= transposed ? ceil_div(target[i], int64_t{stride[i]}) : target[i];
  return pixels;
}

template <class T>
void run_pass(const KernelContext& context, const ConvPass& p, const T* source, const T* weights, const PassTarget<T>& target) {
  if (p.batch == 0) return;
  const auto tiles_of = [&](int64_t rows) {
    return ceil_div(p.rows, rows) * p.groups * ceil_div(p.columns(), int64_t{kColumns});
  };
  constexpr int64_t kFew = 132;  // of the larger tiles: not one for each multiprocessor
  if (is_depthwise(p.groups, p.rows, p.channels))
    return launch_pass<conv_depthwise<T>, 1, kThreads>(context, p, source, weights, target);
  if constexpr (!std::is_same_v<T, double>)
    if (p.rows > 32 && tiles_of(64) >= kFew)
      return launch_pass<conv_tiles<T, 8>, 64, kColumns>(context, p, source, weights, target);
  launch_pass<conv_tiles<T, 4>, 32, kColumns>(context, p, source, weights, target);
}

template void run_pass(const KernelContext&, const ConvPass&, const float*, const float*, const PassTarget<float>&);
template void run_pass(const KernelContext&, const ConvPass&, const double*, const double*, const PassTarget<double>&);
template void run_pass(const KernelContext&, const ConvPass&, const F16*, const F16*, const PassTarget<F16>&);
template void run_pass(const KernelContext&, const ConvPass&, const BF16*, const BF16*, const PassTarget<BF16>&);

}  // namespace tandem::cuda
