// k x k convolutions whose rows are read from lines of the image, a run of neighbouring taps after the other: nothing is gathered, and as
// many pixels as a block takes share one pass over the filters. An image with a border is copied once, strip by strip, with its
// border around it.
//
// A tile takes pixels of one line, all or 16 of them, some of which are dropped behind the line's end; whole images of short lines (7 x 7) go
// as one line, whose border's pixels are dropped: a tile takes as long with fewer rows. Images of 3 channels (the first layer) are
// copied with a fourth, so that a line of the kernel is one step. Tiles of vectors (a step of 4 bytes) have as many rows as they are given: they
// share a line evenly, and leave out the lines of the kernel that lie on the border. They read lines of an odd number of taps and channels with the
// number behind them, which meets a weight of zero.
#include <omp.h>

#include "kernels/cpu/bf16/conv.h"
#include "kernels/cpu/conv_strips.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kStripBytes = 384 * 1024;  // of lines with their border: some of the second-level cache
constexpr int64_t kTilesOfBlock = 16, kTileRows = 16, kBlocksOfStrip = 4;
constexpr int64_t kMostRuns = 64;
constexpr int64_t kFewestOfVectors = 7;  // pixels of a line, from which on tiles of vectors multiply as fast as they can
constexpr int64_t kFewestOfColumn = 5, kMostColumns = 4;  // pixels of a column of its own; such columns of a line

struct Lines {
  ConvShape s;                         // whose channels are bytes, of pixels as they are copied
  int64_t source, pixel;               // bytes of a pixel of the image, and of a copy
  int64_t run;                         // of neighbouring taps, as filters hold it
  int64_t width, line_bytes;           // of a line that is read, with its border if it has one
  int64_t tile = 0, rows = 0;          // pixels in a tile, and of a line; or 0:
  int64_t image_rows = 0;              // images are lines
  bool in_place;
  int64_t count = 0, strip = 0;  // lines, or images, of a block; and of those that are copied at once. 0: none fits

  explicit Lines(const ConvGeometry& g, const Bf16Kernel& kernel) : s(g), source(2 * g.channels) {
    s.channels = 2 * bf16_packed_channels(g, kernel), pixel = s.groups * s.channels;
    const Window& w = s.w;
    const int64_t zeros = bf16_line_zeros(ConvShape(g), kernel);
    run = taps_of_run() * s.channels + 2 * zeros;
    const bool is_strided = w.stride[1] != 1 || w.stride[2] != 1;
    constexpr int64_t kShort = 6;
    const int64_t n = w.output[2];
    const bool in_vectors = kernel.step == 4;
    if (in_vectors && n >= kFewestOfVectors)
      tile = kernel.rows, rows = n;
    else if (in_vectors)
      tile = 0;
    else if (tile_of_line(n) > 0)
      tile = tile_of_line(n), rows = n;
    else if (n > kTileRows || pixel != source || (is_strided && n >= kShort))
      tile = kTileRows, rows = round_up(n, kTileRows);
    in_place = rows == n && pixel == source && zeros == 0 && is_borderless(w);
    width = in_place ? w.input[2] : covered(w, 2, n) + zeros;
    if (!in_place && in_vectors) width = width_of_copy(width, pixel);
    line_bytes = width * pixel;
    if (tile > 0) {
      const int64_t fit = in_place ? w.output[1] : (kStripBytes / line_bytes - covered(w, 1, 1)) / w.stride[1] + 1;
      const int64_t rows_of_block = in_vectors ? kMostBlockRows : kTilesOfBlock * tile;
      count = std::clamp<int64_t>(std::min(fit, rows_of_block / rows), 1, w.output[1]);
      if (in_vectors) count = ceil_div(w.output[1], ceil_div(w.output[1], count));  // evenly: each block is a pass over the filters
      strip = std::clamp(fit / count * count, count, kBlocksOfStrip * count);
    } else if (!is_strided && !in_vectors) {
      image_rows = round_up((w.output[1] - 1) * width + n, kTileRows);
      strip = count = std::min(kStripBytes / image_bytes(), kTilesOfBlock * kTileRows / image_rows);
    }
  }
  int64_t taps_of_run() const { return s.groups == 1 && s.w.dilation[2] == 1 ? s.w.kernel[2] : 1; }
  int64_t image_bytes() const { return covered(s.w, 1, s.w.output[1]) * line_bytes; }
};

class LineConvolution {
 public:
  LineConvolution(const Bf16ConvProblem& p, const Lines& lines, const float* seeds)
      : p_(p), l_(lines), s_(lines.s), w_(s_.w), seeds_(seeds),
taps_(lines.taps_of_run()) {
    const int64_t a_line = w_.kernel[2] / taps_;
    for (int64_t i = 0; i < s_.taps / taps_; ++i)
      offsets_[static_cast<size_t>(i)] = i / a_line * w_.dilation[1] * l_.line_bytes + i % a_line * w_.dilation[2] * l_.pixel;
  }

  // Lines [first, first + count) of an image's result by filters [filter, filter + filters) of each group.
  void lines(int64_t image, int64_t first, int64_t count, int64_t filter, int64_t filters, std::byte* scratch) const {
    const std::byte* source = p_.x.data + image * s_.input * l_.source;
    const std::byte* from = source + first * w_.stride[1] * l_.line_bytes;
    if (!l_.in_place) {
      bordered().copy(source, first * w_.stride[1] - w_.pad_begin[1], covered(w_, 1, count), scratch);
      from = scratch;
    }
    for (int64_t line = 0; line < count; line += l_.count)
      multiply_lines(from + line * w_.stride[1] * l_.line_bytes, first + line, std::min(l_.count, count - line),
                     image * s_.output + (first + line) * w_.output[2], filter, filters);
  }

  // The same of whole images.
  void images(int64_t image, int64_t count, int64_t filter, int64_t filters, std::byte* scratch) const {
    for (int64_t i = 0; i < count; ++i)
      bordered().copy(p_.x.data + (image + i) * s_.input * l_.source, -w_.pad_begin[1], covered(w_, 1, w_.output[1]),
                      scratch + i * l_.image_bytes());
    Bf16Block block = block_of(scratch, count * l_.image_rows, filters);
    block.line = l_.image_rows, block.line_stride = l_.image_bytes(), block.line_tile = kTileRows;
    block.pitch = l_.width, block.width = w_.output[2], block.line_results = s_.output;
    multiply(block, image * s_.output, filter);
  }

 private:
  BorderedLines bordered() const { return {w_, l_.width, l_.pixel, std::byte{0}, l_.source}; }

  Bf16Block block_of(const std::byte* a, int64_t rows, int64_t filters) const {
    Bf16Block block;
    block.a = a, block.a_stride = w_.stride[2] * l_.pixel, block.rows = rows;
    block.run = l_.run, block.offsets = offsets_.data();
    block.depth = s_.taps / taps_ * l_.run, block.step = std::min(block.run, p_.kernel.step);
    block.columns = filters, block.activation = p_.epilogue.activation;
    return block;
  }

  // A block of lines of a result from `first` on, which begin at `pixel` of all images. A line of more than a block goes part by part.
  void multiply_lines(const std::byte* from, int64_t first, int64_t count, int64_t pixel, int64_t filter, int64_t filters) const {
    std::array<RunRange, kMostBlockRows> inside;
    for (int64_t line = 0; line < count; ++line) {
      const auto [begin, end] = taps_inside(w_, 1, first + line);
      inside[static_cast<size_t>(line)] = {begin * w_.kernel[2] / taps_, end * w_.kernel[2] / taps_};
    }
    const int64_t part = std::min(l_.rows, kTilesOfBlock * l_.tile);
    if (part == l_.rows && has_columns()) {  // all parts of a line meet the panels of a tile while these are near
      constexpr int64_t kWide = 2 * kPanelColumns;
      for (int64_t f = 0; f < filters; f += kWide) multiply_columns(from, inside.data(), count, pixel, filter + f, std::min(kWide, filters - f));
      return;
    }
    for (int64_t column = 0; column < l_.rows; column += part) {
      const int64_t rows = std::min(part, l_.rows - column), results = std::min(rows, w_.output[2] - column);
      Bf16Block block = block_of(from + column * w_.stride[2] * l_.pixel, count * rows, filters);
      block.line = rows, block.line_stride = w_.stride[1] * l_.line_bytes, block.line_tile = l_.tile, block.line_runs = inside.data();
      if (results < rows) block.pitch = rows, block.width = block.line_results = results;
      multiply(block, pixel + column, filter);
    }
  }

  // Whether columns that meet a part of the kernel only are worth a block of their own: of tiles of vectors, for any number of threads alike.
  bool has_columns() const {
    const auto [begin, end] = whole_columns(w_);
    return p_.kernel.step == 4 && taps_ == w_.kernel[2] && l_.run == taps_ * s_.channels && l_.count >= kFewestOfColumn && end - begin >= kFewestOfColumn &&
           w_.output[2] - (end - begin) <= kMostColumns;
  }

  // The same, with each of those columns by the columns of the kernel that lie in the image.
  void multiply_columns(const std::byte* from, const RunRange* inside, int64_t count, int64_t pixel, int64_t filter, int64_t filters) const {
    const auto [begin, end] = whole_columns(w_);
    const int64_t step = w_.stride[2] * l_.pixel;
    Bf16Block block = block_of(from + begin * step, count * (end - begin), filters);
    block.line = block.pitch = block.width = end - begin, block.line_results = w_.output[2];
    block.line_stride = w_.stride[1] * l_.line_bytes, block.line_tile = l_.tile, block.line_runs = inside;
    multiply(block, pixel + begin, filter);
    for (int64_t column = 0; column < w_.output[2]; ++column) {
      if (column >= begin && column < end) continue;
      const auto [first, last] = taps_inside(w_, 2, column);
      std::array<int64_t, kMostRuns> offsets, places;
      for (size_t run = 0; run < static_cast<size_t>(w_.kernel[1]); ++run)
        offsets[run] = offsets_[run] + first * l_.pixel, places[run] = (static_cast<int64_t>(run) * taps_ + first) * s_.channels;
      Bf16Block own = block_of(from + column * step, count, filters);
      own.a_stride = block.line_stride;
      own.offsets = offsets.data(), own.places = places.data(), own.run = (last - first) * s_.channels;
      const RunRange runs = {0, last > first ? w_.kernel[1] : 0};
      own.line = own.line_tile = count, own.line_runs = &runs;
      multiply(own, pixel + column, filter, w_.output[2]);
    }
  }

  // All groups, whose results begin at `pixel` of all images, `step` pixels apart.
  void multiply(Bf16Block block, int64_t pixel, int64_t filter, int64_t step = 1) const {
    const int64_t filters = s_.groups * s_.filters;
    const ConstTensorView& residual = p_.epilogue.residual;
    const std::byte* a = block.a;
    for (int64_t group = 0; group < s_.groups; ++group) {
      const int64_t column = group * round_up(s_.filters, kPanelColumns) + filter, first = group * s_.filters + filter;
      block.a = a + group * s_.channels;
      block.panels = p_.filters + column * block.depth, block.seeds = seeds_ + column;
      block.result = {p_.y.data, p_.y.dtype == DType::kBF16, filters};
      block.result.data = block.result.at(pixel, first), block.result.stride *= step;
      if (residual) {
        block.residual = {residual.data, residual.dtype == DType::kBF16, filters};
        block.residual.data = block.residual.at(pixel, first), block.residual.stride *= step;
      }
      p_.kernel.multiply(block);
    }
  }

  const Bf16ConvProblem& p_;
  const Lines& l_;
  const ConvShape& s_;
  const Window& w_;
  const float* seeds_;
  int64_t taps_;  // of a run
  std::array<int64_t, kMostRuns> offsets_{};
};

// A line of the kernel in one step, each pixel with a fourth channel.
bool is_first_layer(const ConvShape& s, const Window& w, const Bf16Kernel& kernel) {
  constexpr int64_t kChannels = 4, kFewestTaps = 5;
  return s.groups == 1 && s.channels == kChannels - 1 && w.rank <= 2 && w.dilation[2] == 1 && w.kernel[2] >= kFewestTaps &&
         2 * kChannels * w.kernel[2] <= kernel.step;
}
// The same for vectors: its lines of taps are read as they lie.
bool is_odd_first_layer(const ConvShape& s, const Window& w, const Bf16Kernel& kernel) {
  return kernel.step == 4 && s.groups == 1 && s.channels == 3 && w.rank <= 2 && w.dilation[2] == 1 && w.kernel[2] >= 3 && w.kernel[2] % 2 == 1;
}
// Whatever the plane: other pixels are whole steps, so that filters are packed as for patches.
bool may_have_lines(const ConvShape& s, const Bf16Kernel& kernel) {
  return kernel.takes_lines && !s.pointwise && s.w.kernel[0] == 1 && s.taps <= kMostRuns &&
         (2 * s.channels % kernel.step == 0 || is_first_layer(s, s.w, kernel) || is_odd_first_layer(s, s.w, kernel));
}

}  // namespace

int64_t bf16_packed_channels(const ConvGeometry& g, const Bf16Kernel& kernel) {
  const ConvShape s(g);
  return may_have_lines(s, kernel) && is_first_layer(s, s.w, kernel) ? s.channels + 1 : s.channels;
}

int64_t bf16_line_zeros(const ConvShape& s, const Bf16Kernel& kernel) {
  return may_have_lines(s, kernel) && is_odd_first_layer(s, s.w, kernel) ? 1 : 0;
}

bool is_bf16_line_convolution(const ConvGeometry& g, const Bf16Kernel& kernel) {
  const ConvShape s(g);
  return may_have_lines(s, kernel) && s.w.input[0] == 1 && s.w.output[0] == 1 && s.w.pad_begin[1] >= 0 && s.w.pad_begin[2] >= 0 &&
         Lines(g, kernel).count > 0;
}

int64_t bf16_line_scratch(const ConvGeometry& g, const Bf16Kernel& kernel) {
  const ConvShape s(g);
  if (!may_have_lines(s, kernel)) return 0;
  const int64_t pixel = 2 * s.groups * bf16_packed_channels(g, kernel), one = covered(s.w, 1, 1) * (covered(s.w, 2, s.w.output[2]) + 2) * pixel;
  // The rows of a last tile reach a few pixels beyond the last line.
  return round_up(std::max(one, kStripBytes) + covered(s.w, 2, kTileRows + 1) * pixel, kAlignment);
}

void convolve_bf16_lines(const KernelContext& context, const Bf16ConvProblem& p, const float* seeds, std::byte* scratch) {
  const Lines lines(p.g, p.kernel);
  const ConvShape& s = lines.s;
  const LineConvolution convolution(p, lines, seeds);
  const int64_t team = p.batch * s.groups * s.output * s.filters * s.patch < p.kernel.team_work() ? 1 : context.threads;
  const bool in_lines = lines.tile > 0;
  const int64_t images = in_lines ? p.batch : 1, all = in_lines ? s.w.output[1] : p.batch;
  const StripShares shares(images, all, lines.strip, s.filters, team);
  const int64_t width = round_up(ceil_div(s.filters, shares.parts), StripShares::kFilters);
  const int64_t bytes = bf16_line_scratch(p.g, p.kernel);
#pragma omp parallel for num_threads(static_cast <int>(team)) schedule(static) if (team > 1)
  for (int64_t index = 0; index < shares.tasks(); ++index) {
    const StripShares::Task task = shares.task(index);
    const int64_t filter = task.part * width;
    if (filter >= s.filters) continue;
    const int64_t filters = std::min(width, s.filters - filter);
    std::byte* memory = scratch + omp_get_thread_num() * bytes;
    in_lines ? convolution.lines(task.image, task.first, task.count, filter, filters, memory)
             : convolution.images(task.first, task.count, filter, filters, memory);
  }
}

}  // namespace tandem::cpu
