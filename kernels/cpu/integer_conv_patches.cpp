// Blocks of pixels, gathered as rows of bytes unless they lie so in the image, times panels of filters.
#include <omp.h>


#include "kernels/base/block.h"
#include "kernels/cpu/integer_conv_panels.h"
#include "kernels/cpu/patch_gather.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kBlockBytes = 24 * 1024;  // of rows held at once: half of the first cache, unless there are too few of them then
constexpr int64_t kFewestRows = 64, kMostRows = 384;
constexpr int64_t kNearBytes = int64_t{1} << 20;  // of images that stay in the second-level cache
constexpr int64_t kTeamWork = 256 * 1024;  // products below which one thread does it all

BlockDepth depth_of(const ConvShape& s, const IntegerTier& tier) {
  const PatchRuns runs = patch_runs(s, tier);
  return {runs.depth(), runs.step};
}

int64_t most_rows(const ConvShape& s, const IntegerTier& tier) {
  const int64_t unit = tier.block.rows, fewest = round_up(kFewestRows, unit);
  return std::clamp(kBlockBytes / depth_of(s, tier).bytes / unit * unit, fewest, kMostRows / unit * unit);
}

// A task's part of the work: pixels by filters of one group.
struct Part {
  int64_t group, pixel, pixels, filter, filters;
};

class PatchConvolution {
 public:
  explicit PatchConvolution(const ChannelsLastProblem& p)
      : p_(p), depth_(depth_of(p.s, p.tier)), line_bytes_(line_bytes(p)),
        in_place_(p.s.pointwise && depth_.bytes == p.s.patch && !p.flipped) {}

  void run(const Part& part, std::byte* scratch) const {
    const ConvShape& s = p_.s;
    const int64_t channels = s.groups * s.channels, column = part.group * panel_columns(s) + part.filter;
    const std::byte* x = p_.x.data + part.group * s.channels;
    IntegerBlock block;
    block.a = x + part.pixel * channels, block.a_stride = channels;
    block.a_signed = p_.x.dtype == DType::kI8 && !p_.flipped;
    block.rows = part.pixels, block.depth = depth_.bytes, block.step = depth_.step;
    block.panels = p_.filters.data + column * depth_.bytes, block.columns = part.filters;
    block.seeds = p_.seeds + column;
    block.result = result_at(p_, part.pixel, part.group * s.filters + part.filter);
    block.rows_are_far = in_place_ && s.groups == 1 && p_.batch * s.input * channels > kNearBytes;
    if (!in_place_) {
      PatchGather{s, depth_.bytes, channels, line_bytes_, p_.x_zero}.rows(x, part.pixel, part.pixels, scratch);
      if (p_.flipped)
        for (int64_t i = 0; i < part.pixels * depth_.bytes; ++i) scratch[i] ^= std::byte{0x80};
      block.a = scratch, block.a_stride = depth_.bytes;
    }
    if (p_.filters.has_zeros) {
      auto* sums = reinterpret_cast<int32_t*>(scratch + most_rows(s, p_.tier) * depth_.bytes);
      const PatchRuns runs = patch_runs(s, p_.tier);
      for (int64_t r = 0; r < block.rows; ++r) {
        sums[r] = 0;
        for (int64_t i = 0; i < runs.count; ++i)
          sums[r] += p_.tier.block.sum_row(block.a + r * block.a_stride + i * runs.bytes, runs.taps * s.channels, block.a_signed);
      }
      block.row_sums = sums, block.column_zeros = p_.filters.zeros + column;
    }
    const int64_t filters = s.groups * s.filters, at = part.pixel * filters + part.group * s.filters + part.filter;
    const bool adds = p_.residual && p_.tier.block.adds_residuals;
    const ResidualLines residual = adds ? p_.residual->at(at) : ResidualLines{};
    if (adds) block.residual = &residual;
    p_.tier.block.multiply(block);
    if (!adds) add_residual(p_, part.pixel, part.pixels, part.group * s.filters + part.filter, part.filters);
  }

 private:
  static int64_t line_bytes(const ChannelsLastProblem& p) {
    const PatchRuns runs = patch_runs(p.s, p.tier);
    return runs.taps == p.s.w.kernel[2] ? runs.bytes : p.s.w.kernel[2] * p.s.channels;
  }

  const ChannelsLastProblem& p_;
  BlockDepth depth_;
  int64_t line_bytes_;
  bool in_place_;
};

}  // namespace

void add_residual(const ChannelsLastProblem& p, int64_t pixel, int64_t pixels, int64_t filter, int64_t filters) {
  const int64_t all = p.s.groups * p.s.filters, at = pixel * all + filter;
  if (filters == all) return add_residual(p, at, pixels * all);
  for (int64_t i = 0; p.residual && i < pixels; ++i) add_residual(p, at + i * all, filters);
}

PatchRuns patch_runs(const ConvShape& s, const IntegerTier& tier) {
  const BlockDepth whole = s.pointwise ? block_depth(s.patch, tier.block.step) : copied_depth(s.patch, tier.block.step);
  const PatchRuns one = {1, s.taps, whole.bytes, whole.step};
  if (!tier.block.takes_patches || s.pointwise || s.w.kernel[0] != 1) return one;
  const bool neighbours = s.groups == 1 && (s.w.dilation[2] == 1 || s.w.kernel[2] == 1);
  const int64_t taps = neighbours ? s.w.kernel[2] : 1, bytes = taps * s.channels;
  const BlockDepth run = block_depth(round_up(bytes, 4), tier.block.step);
  const PatchRuns runs = {s.taps / taps, taps, run.bytes, run.step, true};
  // Taps apart leave no room behind them, and short runs fill no tiles: then gathering all of them pays.
  const bool is_dense = neighbours || run.bytes == bytes, is_short = 2 * (runs.depth() / runs.step) > 5 * (whole.bytes / whole.step);
  return is_dense && !is_short ? runs : one;
}

void pack_patch_filters(const ConvShape& s, const IntegerTier& tier, ConstTensorView w, ConstTensorView w_zero,
                        IntegerFilterPanels& to) {
  const PatchRuns runs = patch_runs(s, tier);
  const int64_t depth = runs.depth(), columns = panel_columns(s), all = s.groups * columns;
  const int64_t data = round_up(all * depth, kAlignment), numbers = round_up(all * 4, kAlignment);
  to.bytes = static_cast<size_t>(data + 2 * numbers);
  to.memory = make_zero_block(to.bytes);
  to.data = to.memory.get();
  to.sums = reinterpret_cast<int32_t*>(to.data + data), to.zeros = reinterpret_cast<int32_t*>(to.data + data + numbers);
  // u8 as i8: its highest bit flipped, its zero point 128 lower.
  const bool flipped = w.dtype == DType::kU8;
  const std::byte flip = flipped ? std::byte{0x80} : std::byte{0};
  for (int64_t f = 0; f < s.groups * s.filters; ++f) {
    const int64_t in_group = f % s.filters, column = f / s.filters * columns + in_group;
    std::byte* panel = to.data + column / kPanelColumns * depth * kPanelColumns + column % kPanelColumns * 4;
    int32_t sum = 0;
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t t = 0; t < s.taps; ++t) {
        const int64_t k = t / runs.taps * runs.bytes + t % runs.taps * s.channels + c;
        const std::byte weight = w.data[(f * s.channels + c) * s.taps + t] ^ flip;
        panel[k / 4 * 4 * kPanelColumns + k % 4] = weight;
        sum += static_cast<int8_t>(weight);
      }
    to.sums[column] = sum;
    to.zeros[column] = (w_zero ? number_of(w_zero.data[f % w_zero.elements()], w.dtype) : 0) - (flipped ? 128 : 0);
    to.has_zeros = to.has_zeros || to.zeros[column] != 0;
  }
}

int64_t patch_scratch(const ConvShape& s, const IntegerTier& tier) {
  return most_rows(s, tier) * (depth_of(s, tier).bytes + static_cast<int64_t>(sizeof(int32_t)));
}

void convolve_patches(const ChannelsLastProblem& p, int threads, std::byte* scratch) {
  const ConvShape& s = p.s;
  const int64_t pixels = p.batch * s.output, team = s.groups * pixels * s.filters * s.patch < kTeamWork ? 1 : threads;
  int64_t blocks = ceil_div(pixels, most_rows(s, p.tier)), parts = 1;
  if (s.groups * blocks % team != 0) {
    // Few pixels are not worth cutting up: then filters are shared out, and patches gathered by every thread.
    if (pixels >= 2 * team * p.tier.block.rows || s.filters < 2 * kPanelColumns * team)
      blocks = std::min(round_up(blocks, team), pixels);
    else
      parts = team;
  }
  const int64_t rows = ceil_div(pixels, blocks), width = round_up(ceil_div(s.filters, parts), 2 * kPanelColumns);
  const int64_t tasks = s.groups * blocks * parts, bytes = round_up(patch_scratch(s, p.tier), kAlignment);
  const PatchConvolution convolution(p);
#pragma omp parallel for num_threads(static_cast<int>(team)) schedule(static) if (team > 1 && tasks > 1)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t block = task / parts, filter = task % parts * width, pixel = block % blocks * rows;
    if (filter < s.filters && pixel < pixels)
      convolution.run({block / blocks, pixel, std::min(rows, pixels - pixel), filter, std::min(width, s.filters - filter)},
                      scratch + omp_get_thread_num() * bytes);
  }
}

}  // namespace tandem::cpu
