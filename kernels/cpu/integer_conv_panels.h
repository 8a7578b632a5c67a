// Packed filters of channels-last integer convolutions, and the two ways to convolve: by products of rows and panels, or channel by
// channel where every channel has one filter.
//
// Rows of x are patches: the pixels under the kernel in the order of its taps. A pointwise convolution multiplies the image where it
// lies; others gather the patches of a block of pixels.
#pragma once

#include "kernels/api/integer_conv_channels_last.h"
#include "kernels/cpu/conv_patches.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {

struct IntegerFilterPanels {
  Isa isa = Isa::kPortable;
  std::shared_ptr<std::byte[]> memory;
  size_t bytes = 0;
  // Group by group, its filters rounded up to whole panels: panels as IntegerBlock has them, sums of weights, zero points.
  std::byte* data = nullptr;
  int32_t *sums = nullptr, *zeros = nullptr;
  bool has_zeros = false;
  bool is_narrow = false;  // depthwise: weights are bytes (see DepthwiseLines)
};

// How a patch lies in a row of bytes: runs of taps whose channels are neighbours in the image too, each filled up to `bytes` of it.
struct PatchRuns {
  int64_t count = 1, taps = 0, bytes = 0, step = 4;
  bool in_image = false;  // each lies there as a whole
  int64_t depth() const { return count * bytes; }
};
PatchRuns patch_runs(const ConvShape&, const IntegerTier&);

inline bool is_channelwise(const ConvShape& s) { return s.depthwise() && s.filters == 1; }
inline int64_t panel_columns(const ConvShape& s) { return round_up(s.filters, kPanelColumns); }  // of a group

// The number that 8 bits stand for.
inline int32_t number_of(std::byte bits, DType type) { return type == DType::kI8 ? static_cast<int8_t>(bits) : static_cast<int32_t>(bits); }

// What all tasks of a convolution share.
struct ChannelsLastProblem {
  const ConvShape& s;
  const IntegerTier& tier;
  const IntegerFilterPanels& filters;
  ConstTensorView x;
  std::byte x_zero;  // as x has it
  bool flipped;      // x is i8 and read as u8: its highest bit flipped
  const int32_t* seeds;
  TensorView y;
  const OutputScales* scales;
  int64_t batch;
  const ResidualLines* residual = nullptr;
};
// Makes the sum of y's bytes [at, at + n), if there is one: they are the convolution's.
inline void add_residual(const ChannelsLastProblem& p, int64_t at, int64_t n) {
  if (p.residual) p.residual->add(at, n, p.y.data + at);
}
// Of pixels from `pixel` (of all images) on, some filters each.
void add_residual(const ChannelsLastProblem&, int64_t pixel, int64_t pixels, int64_t filter, int64_t filters);
// Where pixel `pixel` (of all images) and filter `filter` of the result lie.
BlockResult result_at(const ChannelsLastProblem&, int64_t pixel, int64_t filter);

// Each: packing, bytes of one thread, and the kernel, with that much for each thread in `scratch`.
void pack_patch_filters(const ConvShape&, const IntegerTier&, ConstTensorView w, ConstTensorView w_zero, IntegerFilterPanels&);
int64_t patch_scratch(const ConvShape&, const IntegerTier&);
void convolve_patches(const ChannelsLastProblem&, int threads, std::byte* scratch);

// The same, for a whole convolution, with rows read from lines of the image (with a border around them where it has one), by tiers that
// take patches. Whether this one is made of such lines, and how many bytes of scratch those of any smaller image want.
bool is_strip_convolution(const ChannelsLastProblem&);
int64_t strip_scratch(const ConvShape&, const IntegerTier&);
void convolve_strips(const ChannelsLastProblem&, int threads, std::byte* scratch);

void pack_channel_filters(const ConvShape&, const IntegerTier&, ConstTensorView w, ConstTensorView w_zero, IntegerFilterPanels&);
int64_t channelwise_scratch(const ConvShape&);
void convolve_channels(const ChannelsLastProblem&, int threads, std::byte* scratch);

}  // namespace tandem::cpu
