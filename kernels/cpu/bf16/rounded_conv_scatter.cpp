// The gradient to the input at any stride, in bf16: patches [patch, pixels] = W^T [patch, filters] * dY [filters, pixels], each row of which is
// then added to the input pixels that its tap met, as conv_input_grad.cpp does in f32. Filters lie in pairs: of W^T as rows, of dY as lines of panels.
//
// Threads share images, or their channels: every input element has one owner, which adds in one order.
#include <omp.h>

#include "kernels/cpu/bf16/rounded_conv.h"
#include "kernels/cpu/conv_im2col.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kLeastRows = 72;            // of a chunk
constexpr int64_t kPatchFloats = 24 * 1024;   // of a chunk and a block of pixels: they stay in the second-level cache with the panels
constexpr int64_t kPanelBytes = 256 * 1024;
constexpr int64_t kPairs = 16;  // that are packed together

struct Sizes {
  ConvShape s;
  BlockDepth depth;
  int64_t stride;                  // of a row of A
  int64_t channels, chunks, most;  // channels of a chunk, pixels of a block
  int64_t filters, panels, patches;  // bytes: all rows of A; of a thread

  Sizes(const ConvGeometry& g, const Bf16Kernel& kernel)
      : s(g), depth(copied_depth(2 * s.filters, kernel.step)), stride(spread_stride(depth.bytes)),
        channels(std::clamp<int64_t>(ceil_div(kLeastRows, s.taps), 1, s.channels)), chunks(ceil_div(s.channels, channels)) {
    const int64_t pixels = std::min(kPatchFloats / (channels * s.taps), kPanelBytes / std::max<int64_t>(depth.bytes, 1));
    most = std::clamp(pixels / kPanelColumns * kPanelColumns, kPanelColumns, kMostColumns);
    filters = s.patch * stride;
    panels = most * depth.bytes;
    patches = round_up(channels * s.taps * most * 4, kRowAlignment);
  }
  int64_t own() const { return panels + patches; }
};

struct Scatter {
  const Sizes& z;
  const Bf16Kernel& kernel;
  const GemmTier<float>& moves;
  const std::byte* a;

  void pack(const float* dy, int64_t pixels, std::byte* panels) const {
    for (int64_t column = 0; column < pixels; column += kPanelColumns)
      for (int64_t pair = 0; 4 * pair < z.depth.bytes; pair += kPairs) {
        const int64_t f = std::min(2 * pair, z.s.filters), most = std::min(kPairs, z.depth.bytes / 4 - pair);
        kernel.round_lines(dy + f * z.s.output + column, z.s.output, z.s.filters - f, std::min(kPanelColumns, pixels - column), most,
                           panels + column * z.depth.bytes + pair * 4 * kPanelColumns);
      }
  }

  // Chunks [first, last) of the channels of an image.
  void run(const float* dy, float* dx, int64_t first, int64_t last, std::byte* own) const {
    const ConvShape& s = z.s;
    auto* patches = reinterpret_cast<float*>(own + z.panels);
    std::fill(dx + first * z.channels * s.input, dx + std::min(s.channels, last * z.channels) * s.input, 0.0f);
    for_each_block(s, z.most, [&](const PixelBlock& block) {
      pack(dy + block.first(s), block.pixels(), own);
      for (int64_t chunk = first; chunk < last; ++chunk) {
        const int64_t channel = chunk * z.channels, channels = std::min(z.channels, s.channels - channel);
        multiply(kernel, {.a = a + channel * s.taps * z.stride,
                          .a_stride = z.stride,
                          .rows = channels * s.taps,
                          .panels = own,
                          .columns = block.pixels(),
                          .depth = z.depth,
                          .c = patches,
                          .ldc = block.pixels()});
        add_patches(s, moves, patches, channels, block, dx + channel * s.input);
      }
    });
  }
};

// Rows of A: the columns of w [filters, patch].
void pack_columns(const Sizes& z, const Bf16Kernel& kernel, const float* w, std::byte* a, int team) {
  const ConvShape& s = z.s;
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
  for (int64_t row = 0; row < s.patch; row += kPanelColumns)
    for (int64_t pair = 0; 4 * pair < z.depth.bytes; pair += kPairs) {
      const int64_t f = std::min(2 * pair, s.filters);
      kernel.round_columns(w + f * s.patch + row, s.patch, s.filters - f, std::min(kPanelColumns, s.patch - row),
                           std::min(kPairs, z.depth.bytes / 4 - pair), a + row * z.stride + 4 * pair, z.stride);
    }
}

}  // namespace

int64_t rounded_scatter_bytes(const ConvGeometry& g, Isa isa, int threads) {
  const Sizes z(g, bf16_kernel(isa));
  return z.filters + threads * z.own();
}

void rounded_scatter(const KernelContext& context, const ConvGeometry& g, Isa isa, const float* w, const float* dy, float* dx, int64_t batch) {
  const Bf16Kernel& kernel = bf16_kernel(isa);
  const Sizes z(g, kernel);
  const ConvShape& s = z.s;
  const int team = worth_a_team(s, batch) ? context.threads : 1;
  std::byte *a = context.workspace.data(), *scratch = a + z.filters;
  pack_columns(z, kernel, w, a, team);
  const Scatter scatter{z, kernel, gemm_tier<float>(isa), a};
  const int64_t parts = batch >= team ? 1 : std::min(z.chunks, ceil_div(team, std::max<int64_t>(1, batch)));
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
  for (int64_t task = 0; task < batch * parts; ++task) {
    const int64_t image = task / parts, part = task % parts;
    scatter.run(dy + image * s.filters * s.output, dx + image * s.channels * s.input, z.chunks * part / parts, z.chunks * (part + 1) / parts,
                scratch + omp_get_thread_num() * z.own());
  }
}

}  // namespace tandem::cpu
