// Lines of pixels times panels of filters: tiles of A are loaded from the image itself, a run of neighbouring taps after the
// other, so that nothing is gathered. An image with a border is copied once, strip by strip, with its border around it.
#include <omp.h>

#include <algorithm>
#include <tuple>

#include "kernels/cpu/conv_strips.h"
#include "kernels/cpu/integer_conv_panels.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kStripBytes = 96 * 1024;  // of lines with their border: some of the second cache
constexpr int64_t kMostPixels = 384;        // of a strip's result
constexpr int64_t kTeamWork = 256 * 1024;  // products below which one thread does it all
constexpr int64_t kMostRuns = 64;
constexpr int64_t kFewestOfVectors = 7;  // pixels of a line, from which on tiles of vectors multiply as fast as they can
constexpr int64_t kFewestOfColumn = 5, kMostColumns = 4;  // pixels of a column of its own; such columns of a line
constexpr int64_t kMostLines = kMostPixels / kFewestOfVectors;  // of a strip

// Pixels of a line that a tile takes, 0 if lines are too short for it: tiles of vectors share a line as evenly as it goes.
int64_t tile_of_line(const IntegerTier& tier, int64_t width) {
  if (tier.block.step > 4) return tandem::cpu::tile_of_line(width);
  return width >= kFewestOfVectors ? tier.block.rows : 0;
}

struct Strips {
  const ConvShape& s;
  PatchRuns runs;
  int64_t width, line_bytes;  // of a line that is read, with its border if it has one
  bool in_place;              // there is none, and nothing is read behind a run
  int64_t lines;              // of the result, in a strip

  Strips(const ConvShape& shape, const IntegerTier& tier) : s(shape), runs(patch_runs(shape, tier)) {
    const Window& w = s.w;
    in_place = is_borderless(w) && runs.bytes == runs.taps * s.channels;
    width = in_place ? w.input[2] : covered(w, 2, w.output[2]);
    if (!in_place && tier.block.step == 4) width = width_of_copy(width, s.groups * s.channels);
    line_bytes = width * s.groups * s.channels;
    const int64_t halo = covered(w, 1, 1), most = in_place ? w.output[1] : (kStripBytes / line_bytes - halo) / w.stride[1] + 1;
    lines = std::clamp<int64_t>(std::min({most, kMostPixels / w.output[2], kMostLines}), 1, w.output[1]);
  }
  int64_t scratch() const { return in_place ? 0 : covered(s.w, 1, lines) * line_bytes + kAlignment; }
};

class StripConvolution {
 public:
  StripConvolution(const ChannelsLastProblem& p, const Strips& strips) : p_(p), strips_(strips) {
    const Window& w = p.s.w;
    const int64_t a_line = w.kernel[2] / strips.runs.taps, channels = p.s.groups * p.s.channels;
    for (int64_t i = 0; i < strips.runs.count; ++i)
      offsets_[static_cast<size_t>(i)] = i / a_line * w.dilation[1] * strips.line_bytes + i % a_line * w.dilation[2] * channels;
  }

  // Lines [first, first + count) of an image's result by filters [filter, filter + filters) of each group.
  void run(int64_t image, int64_t first, int64_t count, int64_t filter, int64_t filters, std::byte* scratch) const {
    const ConvShape& s = p_.s;
    const Window& w = s.w;
    const int64_t channels = s.groups * s.channels, pixel = image * s.output + first * w.output[2];
    const std::byte* source = p_.x.data + image * s.input * channels;
    const std::byte* lines = source + first * w.stride[1] * strips_.line_bytes;
    if (!strips_.in_place) {
      const BorderedLines bordered = {w, strips_.width, channels, p_.x_zero};
      bordered.copy(source, first * w.stride[1] - w.pad_begin[1], covered(w, 1, count), scratch);
      lines = scratch;
    }
    std::array<RunRange, kMostLines> inside;
    const RunRange* line_runs = nullptr;
    int64_t begin = 0, end = w.output[2];  // columns that meet all columns of the kernel, or are taken together with those that do
    if (p_.x_zero == std::byte{0}) {
      for (int64_t line = 0; line < count; ++line) inside[static_cast<size_t>(line)] = runs_inside(first + line);
      line_runs = inside.data();
      if (has_columns()) std::tie(begin, end) = whole_columns(w);
    }
    for (int64_t group = 0; group < s.groups; ++group) {
      const int64_t column = group * panel_columns(s) + filter;
      IntegerBlock block;
      block.a = lines + group * s.channels + begin * w.stride[2] * channels, block.a_stride = w.stride[2] * channels;
      block.a_signed = p_.x.dtype == DType::kI8;
      block.line = end - begin, block.line_tile = tile_of_line(p_.tier, w.output[2]), block.line_results = w.output[2];
      block.rows = count * block.line, block.line_stride = w.stride[1] * strips_.line_bytes;
      block.depth = strips_.runs.depth(), block.step = strips_.runs.step;
      block.offsets = offsets_.data(), block.runs = strips_.runs.count, block.line_runs = line_runs;
      const bool adds = p_.residual && p_.tier.block.adds_residuals;
      const ResidualLines residual = adds ? p_.residual->at(pixel * s.groups * s.filters + group * s.filters + filter) : ResidualLines{};
      if (adds) block.residual = &residual;
      // Columns of their own meet the panels of a tile right after the others, while these are near.
      const int64_t part = end - begin < w.output[2] ? 2 * kPanelColumns : filters;
      for (int64_t f = 0; f < filters; f += part) {
        const int64_t first_filter = group * s.filters + filter + f;
        block.panels = p_.filters.data + (column + f) * block.depth, block.columns = std::min(part, filters - f);
        block.seeds = p_.seeds + column + f, block.result = result_at(p_, pixel + begin, first_filter);
        p_.tier.block.multiply(block);
        for (int64_t at = 0; at < w.output[2]; ++at)
          if (at < begin || at >= end) multiply_column(block, at - begin, taps_inside(w, 2, at), result_at(p_, pixel + at, first_filter));
      }
      if (!adds) add_residual(p_, pixel, count * w.output[2], group * s.filters + filter, filters);
    }
  }

 private:
  // Whether columns that meet a part of the kernel only are worth a block of their own: of tiles of vectors.
  bool has_columns() const {
    const Window& w = p_.s.w;
    const auto [begin, end] = whole_columns(w);
    return p_.tier.block.step == 4 && strips_.runs.taps == w.kernel[2] && p_.s.channels % 4 == 0 && strips_.lines >= kFewestOfColumn &&
           end - begin >= kFewestOfColumn && w.output[2] - (end - begin) <= kMostColumns;
  }

  // The column `shift` columns right of a block's first one, by taps [taps.first, taps.second) of the kernel's lines. `to`: its first result.
  void multiply_column(IntegerBlock block, int64_t shift, std::pair<int64_t, int64_t> taps, const BlockResult& to) const {
    std::array<int64_t, kMostRuns> offsets, places;
    for (int64_t i = 0; i < block.runs; ++i) {
      const auto run = static_cast<size_t>(i);
      offsets[run] = offsets_[run] + taps.first * p_.s.channels, places[run] = i * strips_.runs.bytes + taps.first * p_.s.channels;
    }
    block.offsets = offsets.data(), block.places = places.data(), block.run = (taps.second - taps.first) * p_.s.channels;
    block.rows /= block.line;
    block.a += shift * block.a_stride, block.a_stride = block.line_stride;
    block.result = to, block.result.stride *= block.line_results;
    block.line = block.line_results = 0, block.line_runs = nullptr;
    p_.tier.block.multiply(block);
  }

  // The runs of a line of the result that lie on lines of the image; others lie on its border.
  RunRange runs_inside(int64_t line) const {
    const int64_t a_line = p_.s.w.kernel[2] / strips_.runs.taps;
    const auto [first, last] = taps_inside(p_.s.w, 1, line);
    return {first * a_line, last * a_line};
  }

  const ChannelsLastProblem& p_;
  const Strips& strips_;
  std::array<int64_t, kMostRuns> offsets_{};
};

bool has_strips(const ConvShape& s, const IntegerTier& tier) {
  return tier.block.takes_patches && !s.pointwise && s.w.kernel[0] == 1 && patch_runs(s, tier).count <= kMostRuns;
}

}  // namespace

bool is_strip_convolution(const ChannelsLastProblem& p) {
  const Window& w = p.s.w;
  if (!has_strips(p.s, p.tier) || p.filters.has_zeros || p.flipped || w.output[0] != 1 || w.input[0] != 1) return false;
  const PatchRuns runs = patch_runs(p.s, p.tier);
  return runs.in_image && (runs.count > 1 || runs.taps * p.s.channels == runs.bytes) && tile_of_line(p.tier, w.output[2]) > 0;
}

// Whatever the width of a line: a smaller image may have tiles where this one has none.
int64_t strip_scratch(const ConvShape& s, const IntegerTier& tier) {
  if (!has_strips(s, tier)) return 0;
  const Window& w = s.w;
  const int64_t line = (covered(w, 2, w.output[2]) + 1) * s.groups * s.channels, all = covered(w, 1, w.output[1]) * line;
  return std::max(covered(w, 1, 1) * line, std::min(all, kStripBytes)) + kAlignment;
}

void convolve_strips(const ChannelsLastProblem& p, int threads, std::byte* scratch) {
  const ConvShape& s = p.s;
  const Strips strips(s, p.tier);
  const StripConvolution convolution(p, strips);
  const int64_t team = s.groups * p.batch * s.output * s.filters * s.patch < kTeamWork ? 1 : threads;
  const StripShares shares(p.batch, s.w.output[1], strips.lines, s.filters, team);
  const int64_t width = round_up(ceil_div(s.filters, shares.parts), StripShares::kFilters);
  const int64_t bytes = round_up(std::max(patch_scratch(s, p.tier), strip_scratch(s, p.tier)), kAlignment);
#pragma omp parallel for num_threads(static_cast <int>(team)) schedule(static) if (team > 1)
  for (int64_t index = 0; index < shares.tasks(); ++index) {
    const StripShares::Task task = shares.task(index);
    if (const int64_t filter = task.part * width; filter < s.filters)
      convolution.run(task.image, task.first, task.count, filter, std::min(width, s.filters - filter), scratch + omp_get_thread_num() * bytes);
  }
}

}  // namespace tandem::cpu
