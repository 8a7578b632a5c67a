// The entry, and convolutions by products: blocks of pixels, gathered as rows unless they lie so in the image, times panels of
// filters.
#include "kernels/cpu/bf16/conv.h"

#include <omp.h>

#include <algorithm>
#include <atomic>

#include "kernels/base/block.h"
#include "kernels/cpu/channels_last/depthwise.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/patch_gather.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kPatchBytes = 256 * 1024;  // of rows held at once: they stay in the second-level cache beside the filters
constexpr int64_t kNearBytes = int64_t{1} << 20;  // of images that stay in the second-level cache
constexpr int64_t kFewestRows = 32;

int64_t panel_columns(const ConvShape& s) { return round_up(s.filters, kPanelColumns); }  // of a group
int64_t row_bytes(const ConvShape& s) { return 2 * s.patch; }
int64_t line_bytes(const ConvShape& s, const Bf16Kernel& kernel) {  // of a row, for one line of the kernel
  return 2 * (s.w.kernel[2] * s.channels + bf16_line_zeros(s, kernel));
}

BlockDepth depth_of(const ConvShape& s, const Bf16Kernel& kernel) {
  return s.pointwise ? block_depth(row_bytes(s), kernel.step) : copied_depth(s.taps / s.w.kernel[2] * line_bytes(s, kernel), kernel.step);
}
bool is_in_place(const ConvShape& s, const Bf16Kernel& kernel, bool scaled) {
  return !scaled && s.pointwise && depth_of(s, kernel).bytes == row_bytes(s);
}

int64_t most_rows(const ConvShape& s, const Bf16Kernel& kernel) {
  return std::clamp(kPatchBytes / std::max<int64_t>(depth_of(s, kernel).bytes, 1) / 32 * 32, kFewestRows, kMostBlockRows);
}
int64_t patch_bytes(const ConvShape& s, const Bf16Kernel& kernel, bool scaled) {
  return is_in_place(s, kernel, scaled) ? 0 : round_up(most_rows(s, kernel) * depth_of(s, kernel).bytes, kAlignment);
}
int64_t seed_bytes(const ConvShape& s) {
  return round_up(s.groups * panel_columns(s) * static_cast<int64_t>(sizeof(float)), kAlignment);
}

// A task's part of the work: pixels by filters of one group.
struct Part {
  int64_t group, pixel, pixels, filter, filters;
};

class PatchConvolution {
 public:
  PatchConvolution(const Bf16ConvProblem& p, const ConvShape& s, const float* seeds)
      : p_(p), s_(s), bytes_(s), seeds_(seeds), depth_(depth_of(s, p.kernel)), in_place_(is_in_place(s, p.kernel, static_cast<bool>(p.scale))) {
    bytes_.channels *= 2;
  }

  void run(const Part& part, std::byte* scratch) const {
    const int64_t pixel_bytes = s_.groups * bytes_.channels, column = part.group * panel_columns(s_) + part.filter;
    const std::byte* x = p_.x.data + part.group * bytes_.channels;
    Bf16Block block;
    block.a = x + part.pixel * pixel_bytes, block.a_stride = pixel_bytes, block.rows = part.pixels;
    block.depth = depth_.bytes, block.step = depth_.step;
    block.rows_are_far = in_place_ && s_.groups == 1 && p_.batch * s_.input * pixel_bytes > kNearBytes;
    block.panels = p_.filters + column * depth_.bytes, block.columns = part.filters;
    block.seeds = seeds_ + column, block.activation = p_.epilogue.activation;
    const int64_t filters = s_.groups * s_.filters, filter = part.group * s_.filters + part.filter;
    block.result = {p_.y.data, p_.y.dtype == DType::kBF16, filters};
    block.result.data = block.result.at(part.pixel, filter);
    if (const ConstTensorView& residual = p_.epilogue.residual) {
      block.residual = {residual.data, residual.dtype == DType::kBF16, filters};
      block.residual.data = block.residual.at(part.pixel, filter);
    }
    if (!in_place_) {
      if (p_.scale) scale_pixels(part, scratch);
      else PatchGather{bytes_, depth_.bytes, pixel_bytes, line_bytes(s_, p_.kernel), std::byte{0}}.rows(x, part.pixel, part.pixels, scratch);
      block.a = scratch, block.a_stride = depth_.bytes;
    }
    p_.kernel.multiply(block);
  }

 private:
  // Rows of an image times the factors of its channels.
  void scale_pixels(const Part& part, std::byte* scratch) const {
    const BF16* x = p_.x.as<BF16>().data();
    const float* factors = p_.scale.as<float>().data();
    const int64_t channels = s_.channels, last = part.pixel + part.pixels, own = p_.scale.elements() > channels ? channels : 0;
    for (int64_t pixel = part.pixel, next = 0; pixel < last; pixel = next) {
      const int64_t image = pixel / s_.output;
      next = std::min(last, (image + 1) * s_.output);
      auto* to = reinterpret_cast<BF16*>(scratch + (pixel - part.pixel) * depth_.bytes);
      p_.kernel.scale_rows(x + pixel * channels, channels, factors + image * own, to, depth_.bytes / 2, next - pixel, channels);
    }
  }

  const Bf16ConvProblem& p_;
  const ConvShape& s_;
  ConvShape bytes_;  // whose channels are bytes
  const float* seeds_;
  BlockDepth depth_;
  bool in_place_;
};

// How pixels and filters are cut into tasks.
struct Tasks {
  int64_t rows, blocks, width, parts;
  Tasks(const ConvShape& s, const Bf16Kernel& kernel, int64_t pixels, int threads) {
    blocks = ceil_div(pixels, most_rows(s, kernel)), parts = 1;
    if (s.groups * blocks % threads != 0 && blocks < 8 * threads) {
      // Few pixels are not worth cutting up: then filters are shared out, and patches gathered by every thread.
      if (pixels >= 2 * threads * kernel.rows || s.filters < 4 * kPanelColumns * threads)
        blocks = std::min(round_up(blocks, threads), pixels);
      else
        parts = threads;
    }
    rows = ceil_div(pixels, blocks), blocks = ceil_div(pixels, rows);
    width = round_up(ceil_div(s.filters, parts), 2 * kPanelColumns), parts = ceil_div(s.filters, width);
  }
};

// The biases of each group, readable up to a whole panel.
const float* make_seeds(const ConvShape& s, ConstTensorView bias, std::byte* memory) {
  auto* seeds = reinterpret_cast<float*>(memory);
  std::fill_n(seeds, s.groups * panel_columns(s), 0.0f);
  for (int64_t g = 0; bias && g < s.groups; ++g)
    std::copy_n(bias.as<float>().data() + g * s.filters, s.filters, seeds + g * panel_columns(s));
  return seeds;
}

// Whether none of a tensor's `count` numbers is infinite or NaN. Shared as the lines that are read next: what two threads have read is dear to write.
bool is_finite(const KernelContext& context, ConstTensorView x, int64_t count) {
  constexpr uint16_t kExponent = 0x7F80, kLowest = 0x80;  // the largest exponent and one more is the sign's bit
  constexpr int64_t kBlock = 1024;
  const auto* bits = reinterpret_cast<const uint16_t*>(x.data);
  std::atomic<bool> finite = true;
  parallel_chunks(context, ceil_div(count, kBlock), kGrain / kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin * kBlock; at < std::min(count, end * kBlock); at += kBlock) {
      uint16_t reached = 0;
      for (int64_t i = at, last = std::min(count, at + kBlock); i < last; ++i) reached |= static_cast<uint16_t>((bits[i] & kExponent) + kLowest);
      if (reached >> 15 == 0) continue;
      finite.store(false, std::memory_order_relaxed);
      return;
    }
  });
  return finite.load(std::memory_order_relaxed);
}

// Bytes of a packed filter.
int64_t packed_depth(const ConvGeometry& g, const Bf16Kernel& kernel) {
  const ConvShape s(g);
  const int64_t channels = bf16_packed_channels(g, kernel);
  return channels == s.channels ? depth_of(s, kernel).bytes : 2 * channels * s.taps;
}

}  // namespace

size_t bf16_patch_filter_bytes(const ConvGeometry& g, const Bf16Kernel& kernel) {
  const ConvShape s(g);
  return static_cast<size_t>(s.groups * panel_columns(s) * packed_depth(g, kernel));
}

void pack_bf16_patch_filters(const ConvGeometry& g, const Bf16Kernel& kernel, const float* w, std::byte* to) {
  const ConvShape s(g);
  const int64_t depth = packed_depth(g, kernel), channels = bf16_packed_channels(g, kernel), zeros = bf16_line_zeros(s, kernel);
  for (int64_t f = 0; f < s.groups * s.filters; ++f) {
    const int64_t column = f / s.filters * panel_columns(s) + f % s.filters;
    auto* panel = reinterpret_cast<BF16*>(to + column / kPanelColumns * kPanelColumns * depth) + column % kPanelColumns * 2;
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t t = 0; t < s.taps; ++t) {
        const int64_t k = t / s.w.kernel[2] * zeros + t * channels + c;
        panel[k / 2 * 2 * kPanelColumns + k % 2] = to_bf16(w[(f * s.channels + c) * s.taps + t]);
      }
  }
}

size_t bf16_patch_workspace(const ConvGeometry& g, const Bf16Kernel& kernel, int threads, bool scaled) {
  const ConvShape s(g);
  return static_cast<size_t>(seed_bytes(s) + threads * std::max(patch_bytes(s, kernel, scaled), bf16_line_scratch(g, kernel)));
}

void convolve_bf16_patches(const KernelContext& context, const Bf16ConvProblem& p) {
  const ConvShape s(p.g);
  const int64_t pixels = p.batch * s.output;
  const int team = s.groups * pixels * s.filters * s.patch < p.kernel.team_work() ? 1 : context.threads;
  const float* seeds = make_seeds(s, p.epilogue.bias, context.workspace.data());
  std::byte* scratch = context.workspace.data() + seed_bytes(s);
  if (is_bf16_line_convolution(p.g, p.kernel) && (bf16_line_zeros(s, p.kernel) == 0 || is_finite(context, p.x, p.batch * s.input * s.groups * s.channels)))
    return convolve_bf16_lines(context, p, seeds, scratch);
  const int64_t bytes = patch_bytes(s, p.kernel, static_cast<bool>(p.scale));
  // What lies behind the taps of a row meets zeros in the panels, but must be a number.
  if (bytes > 0 && depth_of(s, p.kernel).bytes != row_bytes(s)) std::fill_n(scratch, team * bytes, std::byte{0});
  const Tasks tasks(s, p.kernel, pixels, team);
  const int64_t count = s.groups * tasks.blocks * tasks.parts;
  const PatchConvolution convolution(p, s, seeds);
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1 && count > 1)
  for (int64_t task = 0; task < count; ++task) {
    const int64_t block = task / tasks.parts, filter = task % tasks.parts * tasks.width,
                  pixel = block % tasks.blocks * tasks.rows;
    convolution.run(
        {block / tasks.blocks, pixel, std::min(tasks.rows, pixels - pixel), filter, std::min(tasks.width, s.filters - filter)},
        scratch + omp_get_thread_num() * bytes);
  }
}

bool has_bf16_conv(const ConvGeometry& g) {
  return !is_channelwise(g) ||
         (g.window.kernel[0] == 1 && g.window.input[0] == 1 && g.window.output[0] == 1 && is_held_in_a_ring(g));
}

Bf16Filters pack_bf16_filters(const ConvGeometry& g, ConstTensorView w, Isa isa) {
  check_conv_weight(g, w.shape);
  const Bf16Kernel& kernel = bf16_kernel(isa);
  Bf16Filters packed;
  packed.isa_ = isa;
  packed.bytes_ = is_channelwise(g) ? w.bytes() : bf16_patch_filter_bytes(g, kernel);
  packed.data_ = make_zero_block(std::max<size_t>(packed.bytes_, 1));
  if (!w.data) return packed;  // room alone, for panels that were kept
  const float* from = w.as<float>().data();
  if (is_channelwise(g))
    pack_depthwise_filters(g, from, reinterpret_cast<float*>(packed.data_.get()));
  else
    pack_bf16_patch_filters(g, kernel, from, packed.data_.get());
  return packed;
}

bool has_scaled_bf16_conv(const ConvGeometry& g) { return g.groups == 1 && ConvShape(g).pointwise; }

size_t bf16_conv_workspace(const ConvGeometry& g, int threads, Isa isa, bool scaled) {
  return is_channelwise(g) ? bf16_channelwise_workspace(g, isa, threads) : bf16_patch_workspace(g, bf16_kernel(isa), threads, scaled);
}

void bf16_conv(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, const Bf16Filters& w, TensorView y,
               const Bf16Epilogue& epilogue, ConstTensorView scale) {
  const int64_t batch = check_channels_last_conv(g, x.shape, y.shape);
  ensure(x.dtype == DType::kBF16 && (y.dtype == DType::kBF16 || y.dtype == DType::kF32), "a convolution of bf16 has other types",
         name(x.dtype), name(y.dtype));
  ensure(has_bf16_conv(g), "a depthwise convolution in space has no form on bf16");
  ensure(!scale || (has_scaled_bf16_conv(g) && scale.dtype == DType::kF32 && (scale.elements() == g.channels || scale.elements() == batch * g.channels)),
         "a convolution of bf16 takes no such factors", to_string(scale.shape));
  ensure(context.workspace.size() >= bf16_conv_workspace(g, context.threads, w.isa(), static_cast<bool>(scale)),
         "the workspace of a convolution of bf16 is too small", context.workspace.size());
  if (y.elements() == 0) return;
  const Bf16ConvProblem problem = {g, bf16_kernel(w.isa()), w.isa(), x, w.data(), y, epilogue, batch, scale};
  is_channelwise(g) && !scale ? convolve_bf16_channels(context, problem) : convolve_bf16_patches(context, problem);
}

}  // namespace tandem::cpu
