// The ways to convolve images of bf16 with channels last: by products of patches or of lines, or channel by channel.
#pragma once

#include "kernels/api/bf16_conv.h"
#include "kernels/cpu/bf16/block.h"
#include "kernels/cpu/conv_patches.h"

namespace tandem::cpu {

struct Bf16ConvProblem {
  const ConvGeometry& g;
  const Bf16Kernel& kernel;
  Isa isa;
  ConstTensorView x;
  const std::byte* filters;
  TensorView y;
  const Bf16Epilogue& epilogue;
  int64_t batch;
  ConstTensorView scale = {};
};

inline bool is_channelwise(const ConvGeometry& g) { return g.groups > 1 && g.groups == g.channels && g.groups == g.filters; }

// Each: bytes of packed filters, packing, bytes of workspace, and the kernel.
size_t bf16_patch_filter_bytes(const ConvGeometry&, const Bf16Kernel&);
void pack_bf16_patch_filters(const ConvGeometry&, const Bf16Kernel&, const float* w, std::byte* to);
size_t bf16_patch_workspace(const ConvGeometry&, const Bf16Kernel&, int threads, bool scaled = false);
void convolve_bf16_patches(const KernelContext&, const Bf16ConvProblem&);

// The same filters, rows read from lines of the image by kernels that take them: whether this one is done so, the scratch of a thread (for
// any smaller plane too), and the kernel. `seeds`: one number a filter, each group's rounded up to whole panels.
int64_t bf16_packed_channels(const ConvGeometry&, const Bf16Kernel&);  // of a group, in packed filters: some get one of zeros
// Zeros behind each line of taps in packed filters: one where a line has an odd number of numbers, which go in pairs. It meets the number behind
// the taps in lines, so the image must be finite there.
int64_t bf16_line_zeros(const ConvShape&, const Bf16Kernel&);
bool is_bf16_line_convolution(const ConvGeometry&, const Bf16Kernel&);
int64_t bf16_line_scratch(const ConvGeometry&, const Bf16Kernel&);
void convolve_bf16_lines(const KernelContext&, const Bf16ConvProblem&, const float* seeds, std::byte* scratch);

bool is_held_in_a_ring(const ConvGeometry&);  // the lines under the kernel
size_t bf16_channelwise_workspace(const ConvGeometry&, Isa, int threads);
void convolve_bf16_channels(const KernelContext&, const Bf16ConvProblem&);

}  // namespace tandem::cpu
