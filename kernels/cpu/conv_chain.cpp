// Bands of output lines. Of the expanded image the lines under the window of a band are kept, line h at h modulo their number, so
// that a band makes only those that are new. Each thread takes lines that follow each other through all three, in memory of its own: what lies
// between the convolutions stays in its cache, and the few expanded lines under both of two neighbours' are made twice.
#include "kernels/api/conv_chain.h"

#include <algorithm>

#include "kernels/base/checked.h"
#include "kernels/cpu/channels_last/depthwise.h"
#include "kernels/cpu/channels_last/product.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBandFloats = 192 * 1024;   // between the convolutions, of a band: a part of a second-level cache
constexpr int64_t kWorthFloats = 256 * 1024;  // between them, of an image: more than such a cache keeps beside the rest

// A pointwise convolution of some pixels.
ConvGeometry of_pixels(ConvGeometry g, int64_t pixels) {
  g.window.input = g.window.output = {1, 1, pixels};
  return g;
}

struct Bands {
  int64_t height, out_height;  // lines of the expanded image and of the output
  int64_t line, out_line;      // floats between the convolutions; 0 where a pointwise one is missing
  int64_t stride, reach, pad;  // of the window, downwards
  int64_t rows, kept;          // output lines of a band, lines of the expanded image under them

  // For threads that take `share` output lines of an image each.
  Bands(const ConvChain& chain, int64_t share) {
    const ConvGeometry& g = chain.depthwise;
    const Window& w = g.window;
    height = w.input[1], out_height = w.output[1];
    line = chain.expand ? w.input[2] * g.channels : 0;
    out_line = chain.project ? w.output[2] * g.channels : 0;
    stride = w.stride[1], reach = (w.kernel[1] - 1) * w.dilation[1] + 1, pad = w.pad_begin[1];
    const int64_t fit = (kBandFloats - (reach - stride) * line) / std::max<int64_t>(1, stride * line + out_line);
    const int64_t all = std::clamp<int64_t>(share, 1, std::max<int64_t>(1, out_height)), most = std::clamp<int64_t>(fit, 1, all);
    rows = ceil_div(all, ceil_div(all, most));
    kept = under(rows);
  }
  explicit Bands(const ConvChain& chain) : Bands(chain, chain.depthwise.window.output[1]) {}
  int64_t under(int64_t lines) const { return std::min(height, reach + (lines - 1) * stride); }
  int64_t whole() const { return height * line + out_height * out_line; }
  // For this plane and all smaller ones.
  int64_t bound() const { return std::min(whole(), std::max(kBandFloats, under(1) * line + out_line)); }
};

// Of one thread.
size_t share_workspace(const ConvChain& chain, Isa isa) {
  size_t bytes = depthwise_workspace(chain.depthwise, 1);
  for (const auto& pointwise : {chain.expand, chain.project})
    if (pointwise) bytes = std::max(bytes, conv_channels_last_workspace(*pointwise, 1, isa));
  return static_cast<size_t>(aligned_elements<float>(Bands(chain).bound())) * sizeof(float) + round_up(bytes, kAlignment);
}

// One thread's lines.
class ChainRun {
 public:
  ChainRun(const KernelContext& context, const ConvChain& chain, const ConvChainStages& stages, const Bands& bands)
      : context_(context),
        chain_(chain),
        stages_(stages),
        bands_(bands),
        tier_(channels_last_tier(stages.depthwise.filters.isa())) {
    expanded_ = reinterpret_cast<float*>(context.workspace.data());
    between_ = expanded_ + bands.kept * bands.line;
    const int64_t used = aligned_elements<float>(bands.kept * bands.line + bands.rows * bands.out_line);
    context_.workspace = context.workspace.subspan(static_cast<size_t>(used) * sizeof(float));
  }

  // Output lines [begin, end) of an image.
  void lines(int64_t begin, int64_t end, const float* x, const float* residual, float* y) {
    int64_t made = 0;  // lines of the expanded image
    for (int64_t first = begin; first < end; first += bands_.rows) {
      const int64_t last = std::min(first + bands_.rows, end);
      const int64_t from = std::clamp<int64_t>(first * bands_.stride - bands_.pad, 0, bands_.height);
      const int64_t until = std::clamp<int64_t>((last - 1) * bands_.stride - bands_.pad + bands_.reach, from, bands_.height);
      made = std::max(made, from);
      if (chain_.expand) expand(x, made, until);
      made = until;
      convolve(x, {first, last, chain_.expand ? bands_.kept : bands_.height}, y);
      if (chain_.project) project(first, last, residual, y);
    }
  }

 private:
  ChannelsLastOperands operands(const ConvChainStage& stage) const {
    ChannelsLastOperands o;
    o.batch = 1;
    o.w = stage.filters.data();
    if (stage.bias) o.bias = stage.bias.as<float>().data();
    o.activation = stage.activation;
    return o;
  }

  // Lines [first, last) of the expanded image, up to the end of what is kept at a time.
  void expand(const float* x, int64_t first, int64_t last) {
    const int64_t width = chain_.depthwise.window.input[2];
    ChannelsLastOperands o = operands(stages_.expand);
    for (int64_t lines = 0; first < last; first += lines) {
      lines = std::min(last - first, bands_.kept - first % bands_.kept);
      o.x = x + first * width * chain_.expand->channels;
      o.y = expanded_ + first % bands_.kept * bands_.line;
      convolve_pixels(*chain_.expand, lines * width, o);
    }
  }

  void convolve(const float* x, const DepthwiseRange& range, float* y) {
    ChannelsLastOperands o = operands(stages_.depthwise);
    o.x = chain_.expand ? expanded_ : x;
    o.y = chain_.project ? between_ : y + range.first * chain_.depthwise.window.output[2] * chain_.depthwise.filters;
    convolve_depthwise_lines(context_, chain_.depthwise, tier_, o, range);
  }

  void project(int64_t first, int64_t last, const float* residual, float* y) {
    const int64_t width = chain_.depthwise.window.output[2], to = first * width * chain_.project->filters;
    ChannelsLastOperands o = operands(stages_.project);
    o.x = between_;
    o.y = y + to;
    if (residual) o.residual = residual + to;
    convolve_pixels(*chain_.project, (last - first) * width, o);
  }

  // By the kernel that its filters are packed for.
  void convolve_pixels(const ConvGeometry& pointwise, int64_t pixels, const ChannelsLastOperands& o) {
    const auto kernel = is_depthwise(pointwise) ? convolve_depthwise : convolve_product;
    kernel(context_, of_pixels(pointwise, pixels), tier_, o);
  }

  KernelContext context_;
  const ConvChain& chain_;
  const ConvChainStages& stages_;
  const Bands& bands_;
  const ChannelsLastTier& tier_;
  float *expanded_, *between_;
};

void check_chain(const ConvChain& chain, const Shape& x, const Shape& y) {
  const ConvGeometry& g = chain.depthwise;
  ensure(g.groups == g.channels && g.groups == g.filters && g.window.rank == 2,
         "the middle of a chain must be depthwise, of two axes");
  ensure(!chain.expand || (chain.expand->filters == g.channels && chain.expand->window.output == g.window.input),
         "expand does not fit");
  ensure(!chain.project || (chain.project->channels == g.filters && chain.project->window.input == g.window.output),
         "project does not fit");
  const int64_t batch = x.rank() > 0 ? x[0] : 0;
  const ConvGeometry &first = chain.expand ? *chain.expand : g, &last = chain.project ? *chain.project : g;
  ensure(x == channels_last_input_shape(first, batch), "input of a chain of convs does not fit its geometry", to_string(x));
  ensure(y == channels_last_output_shape(last, batch), "output of a chain of convs does not fit its geometry", to_string(y));
}

}  // namespace

size_t conv_chain_workspace(const ConvChain& chain, int threads, Isa isa) { return static_cast<size_t>(threads) * share_workspace(chain, isa); }

bool conv_chain_pays(const ConvChain& chain, int64_t batch, int threads) {
  constexpr int64_t kFewestTimes = 4;  // as many expanded lines as are made again
  const Bands bands(chain);
  const bool few_again = threads == 1 || !chain.expand || kFewestTimes * (bands.reach - bands.stride) <= batch * bands.out_height / threads * bands.stride;
  return bands.whole() > kWorthFloats && few_again;
}

void conv_chain(const KernelContext& context, const ConvChain& chain, ConstTensorView x, const ConvChainStages& stages,
                TensorView y) {
  check_chain(chain, x.shape, y.shape);
  const ConvGeometry& last = chain.project ? *chain.project : chain.depthwise;
  check_conv_epilogue(last, y.shape, {.bias = {}, .residual = stages.residual, .activation = {}});
  if (y.shape.elements() == 0) return;
  const Isa isa = stages.depthwise.filters.isa();
  const size_t needed = conv_chain_workspace(chain, context.threads, isa), share = share_workspace(chain, isa);
  ensure(context.workspace.size() >= needed, "workspace is too small", "chain of convs", context.workspace.size(), needed);
  const float *from = x.as<float>().data(), *residual = stages.residual ? stages.residual.as<float>().data() : nullptr;
  float* to = y.as<float>().data();
  const int64_t batch = x.shape[0], x_image = x.shape.elements() / batch, y_image = y.shape.elements() / batch;
  const int64_t height = chain.depthwise.window.output[1], lines = batch * height;
  const int64_t parts = worth_a_team(ConvShape(chain.depthwise), batch) ? std::min<int64_t>(context.threads, lines) : 1;
  const Bands bands(chain, ceil_div(lines, parts));
#pragma omp parallel for num_threads(static_cast<int>(parts)) schedule(static, 1) if (parts > 1)
  for (int64_t part = 0; part < parts; ++part) {
    KernelContext own = context;
    own.threads = 1;
    own.workspace = context.workspace.subspan(static_cast<size_t>(part) * share, share);
    ChainRun run(own, chain, stages, bands);
    const int64_t end = lines * (part + 1) / parts;
    for (int64_t at = lines * part / parts, until; at < end; at = until) {
      const int64_t image = at / height;
      until = std::min(end, (image + 1) * height);
      run.lines(at - image * height, until - image * height, from + image * x_image, residual ? residual + image * y_image : nullptr,
                to + image * y_image);
    }
  }
}

}  // namespace tandem::cpu
