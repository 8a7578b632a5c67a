// Forward convolution and its input gradient as one thing: a pass in which every pixel of the target gathers taps from the
// source.
//
// Forward, the target is y and the source x. Backwards the target is dx and the source dy; a stride then cuts the target into
// phases, the pixels of one remainder, each of which meets every (stride / gcd(stride, dilation))-th tap, at neighbouring pixels
// of dy. So a phase is a pass without stride, no tap is looked at in vain, and no thread adds to what another one wrote.
#pragma once

#include "kernels/api/conv.h"
#include "kernels/cuda/device/gpu.h"

namespace tandem::cuda {

// A pass along one axis: pixel i of `count` is pixel target_first + i * target_step of the target; its tap j of `taps`, tap
// tap_first + j * tap_step of the kernel, reads pixel base + i * step + j * tap_distance of the source.
struct PassAxis {
  int count, target_first, target_step;
  int taps, tap_first, tap_step;
  int base, step, tap_distance;
};

struct ConvPass {
  bool transposed;
  int source[3], target[3], kernel[3], stride[3], dilation[3], pad[3];
  int phases[3];               // 1 unless transposed
  int groups, rows, channels;  // rows: channels of the target in one group; channels: those of the source
  int64_t batch;
  int64_t weight_row, weight_channel;  // elements between rows and between channels in the weights; a group is together

  ConvPass(const ConvGeometry& geometry, int64_t batch, bool transposed);

  constexpr int64_t source_size() const { return int64_t{source[0]} * source[1] * source[2]; }
  constexpr int64_t target_size() const { return int64_t{target[0]} * target[1] * target[2]; }
  constexpr int kernel_size() const { return kernel[0] * kernel[1] * kernel[2]; }
  int phase_count() const { return phases[0] * phases[1] * phases[2]; }
  // Pixels of the largest phase, over the batch.
  int64_t columns() const;

  __device__ __forceinline__ PassAxis axis(int i, int phase) const {
    if (!transposed) return {target[i], 0, 1, kernel[i], 0, 1, -pad[i], stride[i], dilation[i]};
    int tap = 0;  // the first that falls on the phase
    const int remainder = (phase + pad[i]) % stride[i];
    while (tap < kernel[i] && static_cast<int>(static_cast<int64_t>(tap) * dilation[i] % stride[i]) != remainder) ++tap;
    int divisor = stride[i];  // greatest common one
    for (int rest = dilation[i]; rest != 0;) {
      const int next = divisor % rest;
      divisor = rest, rest = next;
    }
    const int every = stride[i] / divisor;
    return {ceil_of(target[i] - phase, stride[i]),
            phase,
            stride[i],
            tap < kernel[i] ? ceil_of(kernel[i] - tap, every) : 0,
            tap,
            every,
            tap < kernel[i] ? (phase + pad[i] - tap * dilation[i]) / stride[i] : 0,
            1,
            -(dilation[i] / divisor)};
  }

 private:
  __device__ static int ceil_of(int a, int b) { return (a + b - 1) / b; }
};

// What a finished sum becomes.
template <class T>
struct PassTarget {
  T* data;
  const T* bias = nullptr;      // one a channel, or null
  const T* residual = nullptr;  // like the target, or null
  Activation activation = {};
};

// T is float, double, F16 or BF16.
template <class T>
void run_pass(const KernelContext&, const ConvPass&, const T* source, const T* weights, const PassTarget<T>&);

// A handful of channels a group: a thread a pixel, no product.
inline bool is_depthwise(int64_t groups, int64_t rows, int64_t channels) { return groups > 1 && rows * channels <= 8; }

// Sums of batch and pixels in parts that are added in order: bytes of workspace, independent of the batch.
size_t weight_grad_workspace_bytes(const ConvGeometry&, DType);
template <class T>
void weight_grad(const KernelContext&, const ConvGeometry&, int64_t batch, const T* x, const T* dy, T* dw);

// A size as kernels take it. Throws InvalidArgument beyond 2^28: sums of a few such sizes stay within 32 bits.
int conv_size(int64_t size);

}  // namespace tandem::cuda
