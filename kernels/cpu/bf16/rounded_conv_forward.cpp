// Y [filters, pixels] = W [filters, patch] * patches [patch, pixels] in bf16. Two channels of an image are rounded and put side by side, so
// that a plane of such pairs is one of 32-bit numbers, whose patches are copied into panels as those of f32 are (conv_im2col.h), with its border
// around it, so that no tap is outside: a line of a panel is one tap of one pair of channels. Blocks of pixels take several images where these are small. Rows of A are filters in the same order.
//
// Threads share images; where these are few, blocks of their pixels.
#include <omp.h>

#include "kernels/cpu/bf16/rounded_conv.h"
#include "kernels/cpu/conv_im2col.h"
#include "kernels/cpu/conv_turned.h"
#include "kernels/cpu/gemm/activation.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPanelBytes = 384 * 1024;  // of patches held at once: they stay in the second-level cache
constexpr int64_t kPair = 4;                 // bytes

// The same convolution with pairs of channels as channels, of images with their border.
ConvShape pairs_of(ConvGeometry g) {
  g.channels = ceil_div(g.channels, 2);
  Window& w = g.window;
  for (size_t axis = 0; axis < 3; ++axis) w.input[axis] += w.pad_begin[axis] + w.pad_end[axis], w.pad_begin[axis] = w.pad_end[axis] = 0;
  return ConvShape(g);
}

struct Sizes {
  ConvShape pairs;
  BlockDepth depth;
  int64_t stride, columns;         // of a row of A; the most pixels of a block
  int64_t filters, image, panels;  // bytes: all rows of A; the pairs of an image and panels of a thread
  int64_t sums;                    // of a thread, where a block has several images

  Sizes(const ConvGeometry& g, const Bf16Kernel& kernel)
      : pairs(pairs_of(g)), depth(copied_depth(kPair * pairs.patch, kernel.step)), stride(spread_stride(depth.bytes)),
        columns(std::clamp(kPanelBytes / std::max<int64_t>(depth.bytes, 1) / 32 * 32, int64_t{32}, kMostColumns)),
        filters(g.filters * stride),
        image(round_up((pairs.channels * pairs.input + kPanelColumns) * kPair, kRowAlignment)),  // the last line is written whole
        panels(round_up(columns, kPanelColumns) * depth.bytes),
        sums(round_up(std::min(g.filters, kMostBlockRows) * columns * kPair, kRowAlignment)) {}
  int64_t own() const { return image + panels + sums; }
  int64_t together() const { return std::max<int64_t>(1, columns / std::max<int64_t>(pairs.output, 1)); }
};

// Filters as rows of A: [row][pair of k][tap], from w[row * row_stride + k * k_stride + tap], the taps turned round or not.
struct Filters {
  const float* w;
  int64_t rows, row_stride, k, k_stride, taps;
  bool turned;

  void row(const Bf16Kernel& kernel, int64_t index, int64_t bytes, std::byte* to) const {
    alignas(64) std::array<uint32_t, 16 * kPanelColumns> lines;
    const int64_t pairs = ceil_div(k, 2);
    for (int64_t tap = 0; tap < taps; tap += kPanelColumns) {
      const int64_t count = std::min(kPanelColumns, taps - tap);
      for (int64_t pair = 0; pair < pairs; pair += 16) {
        const int64_t most = std::min<int64_t>(16, pairs - pair);
        kernel.round_lines(w + index * row_stride + 2 * pair * k_stride + tap, k_stride, k - 2 * pair, count, most,
                           reinterpret_cast<std::byte*>(lines.data()));
        for (int64_t p = 0; p < most; ++p) {
          const uint32_t* from = lines.data() + p * kPanelColumns;
          auto* line = reinterpret_cast<uint32_t*>(to) + (pair + p) * taps;
          if (turned) std::reverse_copy(from, from + count, line + taps - tap - count);
          else std::copy_n(from, count, line + tap);
        }
      }
    }
    std::memset(to + kPair * pairs * taps, 0, static_cast<size_t>(bytes - kPair * pairs * taps));
  }
};

struct Forward {
  const Sizes& z;
  const Bf16Kernel& kernel;
  const GemmTier<float>& moves;
  const ConvOperands<float>& o;
  const ConvShape& s;  // as it is
  int64_t channels, filters;
  const std::byte* a;

  const ConvShape& pairs() const { return z.pairs; }

  // A line's last pixels are written with what follows them, which is either 0 or written later.
  void round_image(int64_t image, float* to) const {
    const Window& w = s.w;
    const Window::Sizes& size = pairs().w.input;
    if (pairs().input != s.input) std::memset(to, 0, static_cast<size_t>(z.image));
    for (int64_t pair = 0; pair < pairs().channels; ++pair)
      for (int64_t line = 0; line < w.input[0] * w.input[1]; ++line) {
        const int64_t depth = line / w.input[1] + w.pad_begin[0], row = line % w.input[1] + w.pad_begin[1];
        const float* x = o.x + (image * channels + 2 * pair) * s.input + line * w.input[2];
        float* at = to + ((pair * size[0] + depth) * size[1] + row) * size[2] + w.pad_begin[2];
        for (int64_t i = 0; i < w.input[2]; i += kPanelColumns)
          kernel.round_lines(x + i, s.input, channels - 2 * pair, std::min(kPanelColumns, w.input[2] - i), 1, reinterpret_cast<std::byte*>(at + i));
      }
  }

  // `count` output pixels from `pixel` on become columns from `column` on.
  void pack_pixels(const float* image, int64_t pixel, int64_t count, int64_t column, std::byte* panels) const {
    const Window& w = pairs().w;
    for (int64_t done = 0; done < count;) {
      const int64_t at = pixel + done, line = at / w.output[2] % w.output[1], first = at % w.output[2];
      const int64_t lane = (column + done) % kPanelColumns, room = std::min(kPanelColumns - lane, count - done);
      const int64_t lines = first == 0 ? std::min(room / w.output[2], w.output[1] - line) : 0;
      const PixelBlock block = {at / w.output[2] / w.output[1], line, std::max<int64_t>(lines, 1), first,
                                lines > 0 ? w.output[2] : std::min(room, w.output[2] - first)};
      auto* panel = reinterpret_cast<float*>(panels + (column + done - lane) * z.depth.bytes);
      copy_patches(moves, pairs(), image, pairs().channels, block, panel + lane, kPanelColumns);
      done += block.pixels();
    }
  }
  // What lies behind the taps meets zeros, but must be a number.
  void end_panels(int64_t columns, std::byte* panels) const {
    const int64_t used = kPair * pairs().patch;
    for (int64_t c = 0; used < z.depth.bytes && c < columns; c += kPanelColumns)
      std::memset(panels + c * z.depth.bytes + used * kPanelColumns, 0, static_cast<size_t>((z.depth.bytes - used) * kPanelColumns));
  }

  // Some filters of `pixels` pixels of an image, whose sums are there.
  void finish(int64_t image, int64_t row, int64_t rows, int64_t pixel, int64_t pixels) const {
    const int64_t first = (image * filters + row) * pairs().output + pixel;
    for (int64_t r = 0; (o.bias || o.residual) && r < rows; ++r) {
      float* y = o.y + first + r * pairs().output;
      const float bias = o.bias ? o.bias[row + r] : 0;
      for (int64_t i = 0; i < pixels; ++i) y[i] += bias;
      if (!o.residual) continue;
      const float* residual = o.residual + first + r * pairs().output;
      for (int64_t i = 0; i < pixels; ++i) y[i] += residual[i];
    }
    activate(o.activation, o.y + first, pairs().output, rows, pixels);
  }

  RoundedBlock block(int64_t columns, const std::byte* panels) const {
    return {.a = a, .a_stride = z.stride, .rows = filters, .panels = panels, .columns = columns, .depth = z.depth, .c = nullptr, .ldc = 0};
  }

  // Whole images in one block.
  void images(int64_t first, int64_t count, std::byte* own) const {
    auto* image = reinterpret_cast<float*>(own);
    std::byte* panels = own + z.image;
    auto* sums = reinterpret_cast<float*>(panels + z.panels);
    const int64_t pixels = pairs().output, columns = count * pixels;
    for (int64_t i = 0; i < count; ++i) {
      round_image(first + i, image);
      pack_pixels(image, 0, pixels, i * pixels, panels);
    }
    end_panels(columns, panels);
    RoundedBlock p = block(columns, panels);
    p.c = sums, p.ldc = columns;
    for (int64_t row = 0; row < filters; row += kMostBlockRows) {
      p.a = a + row * z.stride, p.rows = std::min(kMostBlockRows, filters - row);
      multiply(kernel, p);
      for (int64_t i = 0; i < count; ++i) {
        float* y = o.y + ((first + i) * filters + row) * pixels;
        for (int64_t r = 0; r < p.rows; ++r) std::copy_n(sums + r * columns + i * pixels, pixels, y + r * pixels);
        finish(first + i, row, p.rows, 0, pixels);
      }
    }
  }

  // Pixels [first, last) of an image, block by block.
  void pixels(int64_t image, int64_t first, int64_t last, int64_t most, std::byte* own) const {
    auto* rounded = reinterpret_cast<float*>(own);
    std::byte* panels = own + z.image;
    if (first < last) round_image(image, rounded);
    for (int64_t pixel = first; pixel < last; pixel += most) {
      const int64_t columns = std::min(most, last - pixel);
      pack_pixels(rounded, pixel, columns, 0, panels);
      end_panels(columns, panels);
      RoundedBlock p = block(columns, panels);
      p.c = o.y + image * filters * pairs().output + pixel, p.ldc = pairs().output;
      multiply(kernel, p);
      finish(image, 0, filters, pixel, columns);
    }
  }
};

// `filters` as rows, then the products. The order of a sum does not depend on the block that it is in.
void convolve(const KernelContext& context, const ConvGeometry& g, Isa isa, const Filters& filters, const ConvOperands<float>& o) {
  const Bf16Kernel& kernel = bf16_kernel(isa);
  const Sizes z(g, kernel);
  const int team = worth_a_team(z.pairs, 2 * o.batch) ? context.threads : 1;
  std::byte *a = context.workspace.data(), *scratch = a + z.filters;
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
  for (int64_t row = 0; row < filters.rows; ++row) filters.row(kernel, row, z.depth.bytes, a + row * z.stride);
  const ConvShape s(g);
  const Forward forward{z, kernel, gemm_tier<float>(isa), o, s, g.channels, g.filters, a};
  const int64_t output = z.pairs.output, fewest = round_up(ceil_div(o.batch, z.together()), team);
  const int64_t together = std::max<int64_t>(1, ceil_div(o.batch, fewest)), groups = ceil_div(o.batch, together);
  const int64_t parts = groups >= team ? 1 : ceil_div(team, std::max<int64_t>(groups, 1));
  const int64_t panels = ceil_div(output, 2 * kPanelColumns), blocks = ceil_div(panels * 2 * kPanelColumns, z.columns);
  const int64_t most = ceil_div(panels, std::max(blocks, parts)) * 2 * kPanelColumns, count = ceil_div(output, most);
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
  for (int64_t task = 0; task < groups * parts; ++task) {
    const int64_t group = task / parts, part = task % parts, first = group * together, images = std::min(together, o.batch - first);
    std::byte* own = scratch + omp_get_thread_num() * z.own();
    if (images > 1) {
      if (part == 0) forward.images(first, images, own);
      continue;
    }
    forward.pixels(first, count * part / parts * most, std::min(output, count * (part + 1) / parts * most), most, own);
  }
}

}  // namespace

int64_t rounded_forward_bytes(const ConvGeometry& g, Isa isa, int threads) {
  const Sizes z(g, bf16_kernel(isa));
  return z.filters + threads * z.own();
}

void rounded_forward(const KernelContext& context, const ConvGeometry& g, Isa isa, const ConvOperands<float>& o) {
  const ConvShape s(g);
  convolve(context, g, isa, {o.w, s.filters, s.patch, s.channels, s.taps, s.taps, false}, o);
}

int64_t rounded_turned_bytes(const ConvGeometry& g, Isa isa, int threads) { return rounded_forward_bytes(input_grad_geometry(g), isa, threads); }

void rounded_turned(const KernelContext& context, const ConvGeometry& g, Isa isa, const float* w, const float* dy, float* dx, int64_t batch) {
  const ConvShape s(g);
  ConvOperands<float> o;
  o.x = dy, o.y = dx, o.batch = batch;
  convolve(context, input_grad_geometry(g), isa, {w, s.channels, s.taps, s.filters, s.patch, s.taps, true}, o);
}

}  // namespace tandem::cpu
