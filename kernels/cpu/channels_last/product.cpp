// The loop nest around the tile: blocks of pixels whose image lines stay in the second-level cache; panels of filters; blocks of the
// reduction whose weights stay in the first-level cache while the tiles of pixels pass.
#include "kernels/cpu/channels_last/product.h"

#include <omp.h>

#include <limits>

#include "kernels/cpu/channels_last/activation.h"
#include "kernels/cpu/channels_last/rows.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/activation.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kImageFloats = 96 * 1024;       // of the images under a block of pixels
constexpr int64_t kPointers = 720;               // of a block of pixels
constexpr int64_t kFarPointers = 4 * 1024;        // of one under weights that are read from afar: the fewer blocks the better
constexpr int64_t kLinePointers = 504;           // of one whose runs are lines of the kernel: few channels, little to gain by more
constexpr int64_t kCopiedFloats = 2 * 1024;       // of a block of pixels, where one pixel tile does not take more
constexpr int64_t kNearFloats = 192 * 1024;        // of weights, or of images, that stay in the second-level cache
constexpr int64_t kMostPixels = 504;
constexpr int64_t kLongWeightFloats = 40 * 1024;  // of a panel and a block of the reduction, where they need not stay in the first-level cache
constexpr int64_t kShortestRun = 32;              // whose taps outside the image are left out: a tile of a tap costs some steps more
constexpr double kSharedSteps = 20;               // multiply-adds in the time that a number of the image costs by being read by two threads
constexpr int64_t kPageFloats = 1024, kWays = 8;  // what is whole pages apart shares as many lines of the first-level cache

// One convolution as a product.
struct Product {
  const ConvGeometry& g;
  const ChannelsLastTier& tier;
  RunShape runs;
  int64_t filters, steps;  // of a group; of the whole reduction
  bool far;                // weights do not stay in the second-level cache: lower panels of more rows read them less often
  int64_t nr, panels;      // filters of a panel, panels of a group

  Product(const ConvGeometry& geometry, const ChannelsLastTier& t)
      : g(geometry), tier(t), runs(run_shape(geometry)), filters(g.filters / g.groups), steps(runs.count * runs.length),
        far(g.filters * steps > kNearFloats), nr(std::min(far ? t.far_nr : t.nr, round_up(filters, t.lanes))), panels(ceil_div(filters, nr)) {}

  // Weights of a group: whole panels and one as wide as the filters that are left.
  int64_t group_elements() const { return round_up(filters, tier.lanes) * steps; }

  // A tile reads a number of each of its pixels in turn: if these lie whole pages apart, more of them than the cache has ways push each other out.
  bool pixels_collide() const { return g.channels * g.window.stride[2] % kPageFloats == 0; }
  // Pixels of a block, at most: known from the weights alone, so that a plan's workspace serves every plane.
  int64_t most_pixels() const {
    const int64_t pointers = runs.copies() ? kLinePointers : far ? kFarPointers : kPointers;
    const int64_t pixels = std::min({kMostPixels, kImageFloats / g.channels, pointers / runs.count});
    return std::max(tier.mr, pixels / tier.mr * tier.mr);
  }
  // ... of this plane: as many as have room for copies of the pixels that reach beyond the image.
  int64_t block_pixels() const {
    const Window& w = g.window;
    const int64_t inside = ceil_div(w.pad_begin[2], w.stride[2]), reach = w.input[2] - w.kernel[2] + w.pad_begin[2];
    const int64_t behind = reach < 0 ? 0 : reach / w.stride[2] + 1, in_a_line = inside + std::max<int64_t>(0, w.output[2] - behind);
    if (!runs.copies() || in_a_line == 0) return most_pixels();
    const int64_t room = copied_elements() / (runs.count * runs.pitch), whole_lines = room / in_a_line - 2;  // a block begins and ends within lines
    return std::max(tier.mr, std::min(most_pixels(), std::max(room, whole_lines * w.output[2])) / tier.mr * tier.mr);
  }
  // Whether taps outside the image are left out.
  bool leaves_out() const { return !runs.copies() && runs.count > 1 && runs.length >= kShortestRun; }
  int64_t pointer_bytes() const {
    return round_up(most_pixels() * runs.count * static_cast<int64_t>(sizeof(float*)), static_cast<int64_t>(kAlignment));
  }
  int64_t place_bytes() const {
    const int64_t places = round_up(most_pixels() * (runs.count + 2) * static_cast<int64_t>(sizeof(int32_t)), static_cast<int64_t>(sizeof(int64_t)));
    return leaves_out() ? round_up(places + runs.count * static_cast<int64_t>(sizeof(int64_t)), static_cast<int64_t>(kAlignment)) : 0;
  }
  int64_t copied_elements() const {
    return runs.copies() ? aligned_elements<float>(std::max(kCopiedFloats, tier.mr * runs.count * runs.pitch)) : 0;
  }
  int64_t zero_elements() const { return aligned_elements<float>(runs.pitch); }
  int64_t thread_bytes() const { return pointer_bytes() + place_bytes() + copied_elements() * static_cast<int64_t>(sizeof(float)); }
  RowScratch scratch(std::byte* memory, const float* zeros) const {
    RowScratch rows{reinterpret_cast<const float**>(memory), reinterpret_cast<float*>(memory + pointer_bytes() + place_bytes()), zeros};
    if (leaves_out())
      rows.counts = reinterpret_cast<int64_t*>(memory + pointer_bytes()), rows.places = reinterpret_cast<int32_t*>(rows.counts + runs.count);
    return rows;
  }
  int64_t workspace_bytes(int threads) const {
    return zero_elements() * static_cast<int64_t>(sizeof(float)) + threads * thread_bytes();
  }
};

// A part of the reduction: whole runs, or a part of one.
struct Steps {
  int64_t run, runs, offset, length;
};

// Calls f(steps, is_last) for the parts of the reduction, in order.
template <class F>
void for_each_part(const RunShape& s, int64_t nr, F&& f) {
  const int64_t most = (multiplies_from_second_level() ? kLongWeightFloats : kWeightFloats) / nr;
  if (s.length >= most) {
    const int64_t parts = ceil_div(s.length, most), each = round_up(ceil_div(s.length, parts), 16);
    for (int64_t run = 0; run < s.count; ++run)
      for (int64_t at = 0; at < s.length; at += each)
        f(Steps{run, 1, at, std::min(each, s.length - at)}, run + 1 == s.count && at + each >= s.length);
    return;
  }
  const int64_t each = even_step(s.count, most / s.length);
  for (int64_t run = 0; run < s.count; run += each)
    f(Steps{run, std::min(each, s.count - run), 0, s.length}, run + each >= s.count);
}

// The products of a block's pixels with a panel's filters. Those that reach beyond the image go tap by tap, in the same order of sums, beside the
// others: what they begin with is written before, what is done with their sums after.
void multiply_panel(const Product& p, ProductBlock block, const RowLists& lists, int64_t offset) {
  const int64_t width = round_up(block.cols, p.tier.lanes);
  const float* const* pointers = block.a;
  ProductBlock cut = block;
  if (lists.cut > 0) {
    cut.rows = lists.cut, cut.places = lists.cut_places, cut.last = false;
    p.tier.multiply(cut);
    cut.first = false, cut.runs = 1, block.places = lists.whole_places;
    if (lists.whole > 0) cut.ahead = Ahead::kNothing;
  }
  block.rows = lists.whole;
  for_each_part(p.runs, p.nr, [&](const Steps& steps, bool last) {
    block.a = pointers + steps.run * block.a_run;
    block.offset = cut.offset = offset + steps.offset;
    block.runs = steps.runs, block.length = cut.length = steps.length;
    block.last = last;
    if (lists.whole > 0) p.tier.multiply(block);
    for (int64_t i = 0; i < steps.runs && lists.cut > 0; ++i) {
      cut.a = block.a + i * block.a_run, cut.b = block.b + i * steps.length * width;
      cut.rows = lists.counts[steps.run + i], cut.places = lists.places + (steps.run + i) * block.a_run;
      p.tier.multiply(cut);
    }
    block.b += steps.runs * steps.length * width;
    block.first = false;
  });
  if (lists.cut == 0 || block.finish.kind == TileFinish::kNothing) return;
  cut.rows = lists.cut, cut.places = lists.cut_places, cut.runs = 0, cut.last = true;
  p.tier.multiply(cut);
}

// All products of some pixels with the filters of some panels, counted through the groups.
void multiply_block(const Product& p, const ChannelsLastOperands& o, int64_t first, int64_t rows, int64_t first_panel, int64_t last_panel,
                    const RowScratch& scratch) {
  if (first_panel == last_panel) return;
  point_at_rows(p.g, p.runs, o.x, first, rows, scratch);
  RowLists lists{.whole = rows};
  if (p.leaves_out()) lists = list_rows(p.g, p.runs, first, rows, scratch);
  ProductBlock block;
  block.a_run = rows;
  block.ldc = p.g.filters;
  const int64_t image = o.batch * p.g.window.input_size() * p.g.channels, result = o.batch * p.g.window.output_size() * p.g.filters;
  block.ahead = p.far ? Ahead::kWeights : std::max(image, result) > kNearFloats ? Ahead::kPixels : Ahead::kNothing;
  block.finish = finish_of(o.activation);
  if (p.pixels_collide()) block.tile_rows = kWays;
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const int64_t group = panel / p.panels, filter = panel % p.panels * p.nr;
    block.cols = std::min(p.nr, p.filters - filter);
    const int64_t to = group * p.filters + filter;
    block.a = scratch.pointers;
    block.b = o.w + group * p.group_elements() + filter * p.steps;
    block.c = o.y + first * p.g.filters + to;
    block.bias = o.bias ? o.bias + to : nullptr;
    block.residual = o.residual ? o.residual + first * p.g.filters + to : nullptr;
    multiply_panel(p, block, lists, group * p.runs.length);
  }
  if (in_channels_last_tile(o.activation)) return;
  const int64_t begin = first_panel / p.panels * p.filters + first_panel % p.panels * p.nr;
  const int64_t end = std::min((last_panel - 1) / p.panels * p.filters + p.filters,
                               (last_panel - 1) / p.panels * p.filters + ((last_panel - 1) % p.panels + 1) * p.nr);
  activate(o.activation, o.y + first * p.g.filters + begin, p.g.filters, rows, end - begin);
}

// How a team shares a product: parts of the pixels times parts of the panels.
struct Split {
  int64_t pixels = 1, panels = 1;
};

// The split whose largest share is the least; of equals, the one that reads less twice. An image that is read by two threads is dear to the one that
// wrote it, when it writes there again: `shared`, in parts of the whole.
Split split_of(int64_t threads, int64_t pixels, int64_t mr, int64_t panels, double image_floats, double weight_floats, double shared) {
  Split best;
  double least = std::numeric_limits<double>::infinity();
  const int64_t tiles = ceil_div(pixels, mr);
  for (int64_t parts = 1; parts <= threads; ++parts) {
    const Split split{parts, threads / parts};
    const double most_pixels = static_cast<double>(std::max(std::min(pixels, ceil_div(tiles, parts) * mr), pixels - tiles * (parts - 1) / parts * mr));
    const double share = most_pixels / static_cast<double>(pixels) * static_cast<double>(ceil_div(panels, split.panels)) / static_cast<double>(panels);
    const double again = static_cast<double>(split.pixels) * weight_floats + static_cast<double>(split.panels) * image_floats;
    const double cost = share + 0.02 * again / (weight_floats + image_floats) + (split.panels > 1 ? shared : 0.0);
    if (cost < least) least = cost, best = split;
  }
  return best;
}

// A dense pointwise convolution knows no lines: one line of all pixels of the batch.
ConvGeometry flattened(const ConvGeometry& g, int64_t batch) {
  const Window& w = g.window;
  const Window::Sizes one{1, 1, 1};
  if (w.kernel != one || w.stride != one || w.input != w.output || w.pad_begin != Window::Sizes{}) return g;
  ConvGeometry flat = g;
  flat.window.input = flat.window.output = {1, 1, batch * w.output_size()};
  return flat;
}

}  // namespace

int64_t product_filter_elements(const ConvGeometry& g, const ChannelsLastTier& tier) {
  return g.groups * Product(g, tier).group_elements();
}

void pack_product_filters(const ConvGeometry& g, const ChannelsLastTier& tier, const float* w, float* panels) {
  const Product p(g, tier);
  const int64_t taps = g.window.kernel_size(), channels = g.channels / g.groups;
  for (int64_t group = 0; group < g.groups; ++group)
    for (int64_t first = 0; first < p.filters; first += p.nr) {
      const int64_t count = std::min(p.nr, p.filters - first), width = round_up(count, tier.lanes);
      const float* from = w + (group * p.filters + first) * p.steps;
      float* to = panels + group * p.group_elements() + first * p.steps;
      for (int64_t c = 0; c < channels; ++c)  // as the weights lie: many filters are read at once, each from end to end
        for (int64_t tap = 0; tap < taps; ++tap) {
          float* row = to + (tap * channels + c) * width;
          for (int64_t f = 0; f < width; ++f) row[f] = f < count ? from[f * p.steps + c * taps + tap] : 0.0f;
        }
    }
}

void pack_product_filters(const ConvGeometry& g, const ChannelsLastTier& tier, const GemmTier<float>& turning, const KernelsOf& kernels, float* panels,
                          int threads) {
  constexpr int64_t kTaps = 16, kMostPanel = 64;  // turned at once; filters, on any tier
  const Product p(g, tier);
  const int64_t taps = g.window.kernel_size();
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && p.filters * p.steps > 64 * 1024)
  for (int64_t i = 0; i < p.panels * g.channels; ++i) {
    const int64_t first = i / g.channels * p.nr, c = i % g.channels, count = std::min(p.nr, p.filters - first), width = round_up(count, tier.lanes);
    const float* from = kernels.w + first * kernels.filter + c * kernels.channel;
    float* to = panels + first * p.steps + c * width;
    alignas(64) float rows[kTaps * kMostPanel];
    for (int64_t tap = 0; tap < taps; tap += kTaps) {
      const int64_t most = std::min(kTaps, taps - tap);
      turning.pack({from + tap, kernels.filter, 1, count, most}, width, rows);
      for (int64_t t = 0; t < most; ++t)
        std::copy_n(rows + t * width, width, to + (kernels.turned ? taps - 1 - tap - t : tap + t) * g.channels * width);
    }
  }
}

size_t product_workspace(const ConvGeometry& g, const ChannelsLastTier& tier, int threads) {
  return static_cast<size_t>(Product(g, tier).workspace_bytes(threads));
}

void convolve_product(const KernelContext& context, const ConvGeometry& geometry, const ChannelsLastTier& tier,
                      const ChannelsLastOperands& o) {
  const ConvGeometry g = flattened(geometry, o.batch);
  const Product p(g, tier);
  float* zeros = workspace_of<float>(context.workspace, p.workspace_bytes(context.threads) / static_cast<int64_t>(sizeof(float)),
                                     "channels-last conv");
  std::fill_n(zeros, p.zero_elements(), 0.0f);
  std::byte* scratch = context.workspace.data() + p.zero_elements() * static_cast<int64_t>(sizeof(float));
  const int64_t pixels = o.batch * geometry.window.output_size(), tiles = ceil_div(pixels, tier.mr), panels = g.groups * p.panels;
  const bool team = worth_a_team(ConvShape(geometry), o.batch);
  const Split split = split_of(team ? context.threads : 1, pixels, tier.mr, panels, static_cast<double>(o.batch * geometry.window.input_size() * g.channels),
                               static_cast<double>(g.filters * p.steps), kSharedSteps / static_cast<double>(g.filters * g.window.kernel_size()));
#pragma omp parallel for num_threads(context.threads) schedule(static, 1) if (team)
  for (int64_t task = 0; task < split.pixels * split.panels; ++task) {
    const int64_t part = task % split.pixels, side = task / split.pixels;
    const int64_t begin = tiles * part / split.pixels * tier.mr, end = std::min(pixels, tiles * (part + 1) / split.pixels * tier.mr);
    const int64_t own = ceil_div(end - begin, tier.mr), blocks = ceil_div(own * tier.mr, p.block_pixels());
    std::byte* mine = scratch + omp_get_thread_num() * p.thread_bytes();
    const RowScratch rows = p.scratch(mine, zeros);
    for (int64_t i = 0, at = begin; i < blocks; ++i) {
      const int64_t next = std::min(end, begin + own * (i + 1) / blocks * tier.mr);
      multiply_block(p, o, at, next - at, panels * side / split.panels, panels * (side + 1) / split.panels, rows);
      at = next;
    }
  }
}

}  // namespace tandem::cpu
