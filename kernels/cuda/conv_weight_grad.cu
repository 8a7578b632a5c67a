// Gradient to the weights: a product over batch and pixels of dy [filters, pixels] with the patches of x [pixels, channels *
// taps].
//
// A block makes 64 filters by 64 weights of each, over one part of the pixels; parts go to the workspace and are added in order
// by a second kernel, so that a few small filters still fill a GPU and the bits depend on nothing but the shapes. dy is read once
// per 64 weights, x once per 64 filters and tap (taps meet in L1 and L2). Depthwise: a block a weight, sums folded in a fixed
// tree.
#include <algorithm>

#include "kernels/base/checked.h"
#include "kernels/cuda/conv_pass.cuh"
#include "kernels/cuda/device/launch.h"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduce.cuh"

namespace tandem::cuda {
namespace {

constexpr int kThreads = 256, kTile = 64;
constexpr int kOutside = -(1 << 30);  // added to any coordinate, is out of the input

struct WeightGrad {
  int input[3], output[3], kernel[3], stride[3], dilation[3], pad[3];
  int groups, filters, channels;  // of one group
  int weights;                    // of one filter: channels * taps
  int input_size, output_size;
  int64_t pixels;  // batch * output_size: what is summed over
  int64_t part;    // pixels of a part, a multiple of every step
  int parts;

  WeightGrad(const ConvGeometry&, int64_t batch);

  int64_t tiles() const { return ceil_div(filters, kTile) * ceil_div(weights, kTile) * int64_t{groups}; }
  int64_t total() const { return int64_t{groups} * filters * weights; }
};

// A pixel of dy that walks through batch and plane.
struct DyPixel {
  int64_t image;
  int pixel;

  __device__ DyPixel(const WeightGrad& g, int64_t at)
      : image(at / g.output_size), pixel(static_cast<int>(at - image * g.output_size)) {}
  __device__ void advance(const WeightGrad& g, int step) {
    pixel += step;
    while (pixel >= g.output_size) pixel -= g.output_size, ++image;
  }
};

// One channel and tap of the input: what it adds to a pixel's address and coordinates.
struct __align__(16) PatchEntry {
  int64_t offset;
  int at[3];
};

__device__ PatchEntry patch_entry(const WeightGrad& g, int weight) {
  if (weight >= g.weights) return {0, {kOutside, 0, 0}};
  const int column = weight % g.kernel[2], lines = weight / g.kernel[2], line = lines % g.kernel[1], depths = lines / g.kernel[1];
  const int depth = depths % g.kernel[0], channel = depths / g.kernel[0];
  PatchEntry entry = {0, {depth * g.dilation[0], line * g.dilation[1], column * g.dilation[2]}};
  entry.offset = static_cast<int64_t>(channel) * g.input_size +
                 (static_cast<int64_t>(entry.at[0]) * g.input[1] + entry.at[1]) * g.input[2] + entry.at[2];
  return entry;
}

// Where the taps of one output pixel start in the input.
template <class T>
struct Patch {
  const T* data;  // may point before the input: only taps inside are read
  int at[3];

  __device__ Patch(const WeightGrad& g, const T* x, int group, const DyPixel& from) {
    const int line = from.pixel / g.output[2];
    at[2] = (from.pixel - line * g.output[2]) * g.stride[2] - g.pad[2];
    at[1] = line % g.output[1] * g.stride[1] - g.pad[1];
    at[0] = line / g.output[1] * g.stride[0] - g.pad[0];
    data = x + (from.image * g.groups + group) * g.channels * g.input_size +
           (static_cast<int64_t>(at[0]) * g.input[1] + at[1]) * g.input[2] + at[2];
  }
  __device__ Compute<T> tap(const WeightGrad& g, const PatchEntry& entry) const {
    const bool inside = static_cast<unsigned>(at[0] + entry.at[0]) < static_cast<unsigned>(g.input[0]) &&
                        static_cast<unsigned>(at[1] + entry.at[1]) < static_cast<unsigned>(g.input[1]) &&
                        static_cast<unsigned>(at[2] + entry.at[2]) < static_cast<unsigned>(g.input[2]);
    return inside ? widen(data[entry.offset]) : Compute<T>(0);
  }
};

template <class T>
constexpr int kDepth = 128 / sizeof(Compute<T>);  // pixels of a step

// kDepth pixels on their way to shared memory: of 64 filters and of 64 weights' taps. A thread has one pixel, all warps the same
// ones.
template <class T>
struct Step {
  static constexpr int kLines = kThreads / kDepth<T>, kEach = kTile / kLines;
  static constexpr int kStride = kTile + 16 / sizeof(Compute<T>);
  Compute<T> grads[kEach], taps[kEach];

  __device__ void load(const WeightGrad& g, const T* x, const T* dy, int group, int filter0, const DyPixel& from, bool inside,
                       const PatchEntry (&table)[kTile]) {
    const int line = threadIdx.x / kDepth<T>;
    const Patch<T> patch(g, x, group, from);
    const T* grad = dy + (from.image * g.groups + group) * g.filters * static_cast<int64_t>(g.output_size) + from.pixel;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int filter = filter0 + line + i * kLines;
      grads[i] = inside && filter < g.filters ? widen(grad[filter * static_cast<int64_t>(g.output_size)]) : Compute<T>(0);
      taps[i] = inside ? patch.tap(g, table[line + i * kLines]) : Compute<T>(0);
    }
  }
  __device__ void store(Compute<T>* a, Compute<T>* b) const {
    const int at = threadIdx.x % kDepth<T> * kStride + threadIdx.x / kDepth<T>;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      a[at + i * kLines] = grads[i];
      b[at + i * kLines] = taps[i];
    }
  }
};

// Blocks in x: tiles, groups; in y: parts.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    weight_grad_tiles(WeightGrad g, const T* x, const T* dy, T* dw, Compute<T>* sums_of_parts) {
  using Scalar = Compute<T>;
  using S = Step<T>;
  constexpr int kEach = 4, kAcross = kTile / kEach;
  __shared__ PatchEntry table[kTile];
  __shared__ __align__(16) Scalar a[2][kDepth<T> * S::kStride];
  __shared__ __align__(16) Scalar b[2][kDepth<T> * S::kStride];
  const int across = (g.weights + kTile - 1) / kTile, down = (g.filters + kTile - 1) / kTile;
  const int tile = blockIdx.x % (across * down), group = blockIdx.x / (across * down);
  const int filter0 = tile / across * kTile, weight0 = tile % across * kTile;
  const int64_t begin = blockIdx.y * g.part, end = begin + g.part < g.pixels ? begin + g.part : g.pixels;
  if (threadIdx.x < kTile) table[threadIdx.x] = patch_entry(g, weight0 + threadIdx.x);
  int64_t at = begin + threadIdx.x % kDepth<T>;
  DyPixel from(g, at);
  const int down0 = threadIdx.x / kAcross * kEach, across0 = threadIdx.x % kAcross * kEach;
  Scalar sums[kEach][kEach] = {};
  S step;
  __syncthreads();
  step.load(g, x, dy, group, filter0, from, at < end, table);
  step.store(a[0], b[0]);
  __syncthreads();
  int now = 0;
  for (int64_t k = begin; k < end; k += kDepth<T>, now ^= 1) {
    const bool more = k + kDepth<T> < end;
    if (more) {
      at += kDepth<T>;
      from.advance(g, kDepth<T>);
      step.load(g, x, dy, group, filter0, from, at < end, table);
    }
#pragma unroll 4
    for (int i = 0; i < kDepth<T>; ++i) {
      Scalar left[kEach], right[kEach];
#pragma unroll
      for (int r = 0; r < kEach; ++r)
        left[r] = a[now][i * S::kStride + down0 + r], right[r] = b[now][i * S::kStride + across0 + r];
#pragma unroll
      for (int r = 0; r < kEach; ++r)
#pragma unroll
        for (int c = 0; c < kEach; ++c) sums[r][c] += left[r] * right[c];
    }
    if (more) step.store(a[now ^ 1], b[now ^ 1]);
    __syncthreads();
  }
  Scalar* part = sums_of_parts + blockIdx.y * static_cast<int64_t>(g.groups) * g.filters * g.weights;
#pragma unroll
  for (int r = 0; r < kEach; ++r)
#pragma unroll
    for (int c = 0; c < kEach; ++c) {
      const int filter = filter0 + down0 + r, weight = weight0 + across0 + c;
      if (filter >= g.filters || weight >= g.weights) continue;
      const int64_t to = (static_cast<int64_t>(group) * g.filters + filter) * g.weights + weight;
      if (g.parts > 1)
        part[to] = sums[r][c];
      else
        dw[to] = narrow<T>(sums[r][c]);
    }
}

// dw[i] = the sum of the parts: eight threads take every eighth part each, then are added in order.
template <class T>
__global__ void __launch_bounds__(kThreads) add_parts(const Compute<T>* sums_of_parts, T* dw, int parts, int64_t total) {
  constexpr int kAcross = 32, kDown = kThreads / kAcross;
  __shared__ Compute<T> partial[kDown][kAcross];
  const int lane = threadIdx.x % kAcross, line = threadIdx.x / kAcross;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kAcross + lane;
  Compute<T> sum = 0;
  if (i < total)
    for (int part = line; part < parts; part += kDown) sum += sums_of_parts[part * total + i];
  partial[line][lane] = sum;
  __syncthreads();
  if (line != 0 || i >= total) return;  // no barrier follows
  for (int other = 1; other < kDown; ++other) sum += partial[other][lane];
  dw[i] = narrow<T>(sum);
}

// A block a weight.
template <class T>
__global__ void __launch_bounds__(kThreads) weight_grad_depthwise(WeightGrad g, const T* x, const T* dy, T* dw) {
  const int64_t filter = blockIdx.x / g.weights;  // of all
  const int group = static_cast<int>(filter / g.filters);
  const PatchEntry entry = patch_entry(g, blockIdx.x % g.weights);
  DyPixel from(g, threadIdx.x);
  Compute<T> sum = 0;
  for (int64_t at = threadIdx.x; at < g.pixels; at += kThreads, from.advance(g, kThreads)) {
    const Patch<T> patch(g, x, group, from);
    sum += widen(dy[(from.image * g.groups * g.filters + filter) * g.output_size + from.pixel]) * patch.tap(g, entry);
  }
  sum = block_reduce<kThreads>(sum, Sum());
  if (threadIdx.x == 0) dw[blockIdx.x] = narrow<T>(sum);
}

// As many parts as bring enough blocks for a large GPU; of at least a few steps.
constexpr int64_t kBlocks = 264, kLeastPart = 256;
int64_t most_parts(int64_t tiles) { return std::clamp<int64_t>(ceil_div(kBlocks, tiles), 1, 128); }

WeightGrad::WeightGrad(const ConvGeometry& g, int64_t batch)
    : groups(conv_size(g.groups)), filters(conv_size(g.filters / g.groups)), channels(conv_size(g.channels / g.groups)) {
  const ConvPass forward(g, batch, false);  // its checks of sizes
  for (int i = 0; i < 3; ++i) {
    input[i] = forward.source[i], output[i] = forward.target[i], kernel[i] = forward.kernel[i];
    stride[i] = forward.stride[i], dilation[i] = forward.dilation[i], pad[i] = forward.pad[i];
  }
  weights = channels * forward.kernel_size();
  input_size = static_cast<int>(forward.source_size());
  output_size = static_cast<int>(forward.target_size());
  pixels = batch * output_size;
  part = std::max(kLeastPart, round_up(ceil_div(pixels, most_parts(tiles())), kLeastPart / 8));
  parts = static_cast<int>(std::max<int64_t>(1, ceil_div(pixels, part)));
}

}  // namespace

size_t weight_grad_workspace_bytes(const ConvGeometry& geometry, DType dtype) {
  const WeightGrad g(geometry, 1);
  const int64_t parts = most_parts(g.tiles());
  if (is_depthwise(g.groups, g.filters, g.channels) || parts == 1) return 0;
  return static_cast<size_t>(parts * g.total()) * (dtype == DType::kF64 ? sizeof(double) : sizeof(float));
}

template <class T>
void weight_grad(const KernelContext& context, const ConvGeometry& geometry, int64_t batch, const T* x, const T* dy, T* dw) {
  const WeightGrad g(geometry, batch);
  if (is_depthwise(g.groups, g.filters, g.channels))
    return launch<weight_grad_depthwise<T>>(context, {.blocks = g.total(), .threads = kThreads}, g, x, dy, dw);
  auto* parts = reinterpret_cast<Compute<T>*>(context.workspace.data());
  ensure(g.parts == 1 || context.workspace.size() >= static_cast<size_t>(g.parts * g.total()) * sizeof(Compute<T>),
         "workspace of a convolution is too small", context.workspace.size());
  launch<weight_grad_tiles<T>>(context, {.blocks = g.tiles(), .blocks_y = g.parts, .threads = kThreads}, g, x, dy, dw, parts);
  if (g.parts > 1)
    launch<add_parts<T>>(context, {.blocks = ceil_div(g.total(), int64_t{32}), .threads = kThreads},
                         static_cast<const Compute<T>*>(parts), dw, g.parts, g.total());
}

template void weight_grad(const KernelContext&, const ConvGeometry&, int64_t, const float*, const float*, float*);
template void weight_grad(const KernelContext&, const ConvGeometry&, int64_t, const double*, const double*, double*);
template void weight_grad(const KernelContext&, const ConvGeometry&, int64_t, const F16*, const F16*, F16*);
template void weight_grad(const KernelContext&, const ConvGeometry&, int64_t, const BF16*, const BF16*, BF16*);

}  // namespace tandem::cuda
