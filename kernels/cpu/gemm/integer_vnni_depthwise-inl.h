// Depthwise lines by products of bytes (AVX-512 VNNI). Included by the tiers' files only, in an unnamed namespace.
//
// Four lines of the kernel become quads, four bytes a channel: each column of x once, in scratch memory. Then sums of some pixels by up
// to 64 channels stay in registers while columns and quads of the kernel go by.
#pragma once

#include "kernels/cpu/gemm/integer_depthwise_line.h"
#include "kernels/cpu/gemm/integer_vnni-inl.h"
#include "kernels/cpu/gemm/integer_vnni_columns-inl.h"

namespace tandem::cpu {
namespace {

// Of a block of kVectors * 16 channels, of which `count` are there, from `channel` on.
template <int kVectors>
struct VnniDepthwiseBlock {
  static constexpr int64_t kChannels = kVectors * kPanelColumns, kQuadBytes = 4 * kChannels;
  static constexpr int64_t kWeightBytes = 4 * kDepthwiseChannels;  // of a quad of lines and a column of the kernel
  static constexpr int kPixels = kVectors == 4 ? 5 : kVectors == 3 ? 7 : kVectors == 2 ? 10 : 12;  // that fill the registers
  static constexpr int64_t kTogether = 30;                                                         // that are finished at once

  const DepthwiseLines& d;
  int64_t channel, count;
  int64_t quads = depthwise_quads(d.line_count);

  // Unpacking works in lanes of 128 bits: first their dwords change places, so that channels come out in order.
  static void interleave(const __m512i* lines, std::byte* to) {
    const auto spread = [&](int i) { return Finish512::transposed_dwords(lines[i]); };
    const __m512i a = spread(0), b = spread(1), c = spread(2), e = spread(3);
    const __m512i low_ab = _mm512_unpacklo_epi8(a, b), low_ce = _mm512_unpacklo_epi8(c, e);
    _mm512_storeu_si512(to, _mm512_unpacklo_epi16(low_ab, low_ce));
    if constexpr (kVectors > 1) _mm512_storeu_si512(to + 64, _mm512_unpackhi_epi16(low_ab, low_ce));
    const __m512i high_ab = _mm512_unpackhi_epi8(a, b), high_ce = _mm512_unpackhi_epi8(c, e);
    if constexpr (kVectors > 2) _mm512_storeu_si512(to + 128, _mm512_unpacklo_epi16(high_ab, high_ce));
    if constexpr (kVectors > 3) _mm512_storeu_si512(to + 192, _mm512_unpackhi_epi16(high_ab, high_ce));
  }

  // The columns of one quad of lines. Plain: whole vectors of u8.
  template <bool kPlain>
  void interleave_quad(int64_t quad) const {
    alignas(64) std::array<std::byte, 64> zeros;
    zeros.fill(d.zero);
    std::array<const std::byte*, kQuadLines> from;
    std::array<int64_t, kQuadLines> step;
    const int64_t columns = depthwise_columns(d), stride = quads * kQuadBytes, first = d.pad > 0 ? 0 : -d.pad;
    for (size_t i = 0; i < kQuadLines; ++i) {
      const int64_t line = quad * kQuadLines + static_cast<int64_t>(i);
      const bool inside = line < d.line_count && d.strides[line] != 0;
      step[i] = inside ? d.strides[line] : 0;
      from[i] = inside ? d.lines[line] + channel + first * step[i] : zeros.data();
    }
    const __mmask64 there = count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(d.flip)), outside = _mm512_set1_epi8(static_cast<char>(d.zero ^ d.flip));
    std::byte* to = d.scratch + quad * kQuadBytes;
    for (int64_t at = -d.pad; at < columns - d.pad; ++at, to += stride) {
      if (at < 0 || at >= d.input_width) {
        for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(to + 64 * v, outside);
        continue;
      }
      __m512i lines[kQuadLines];
      for (size_t i = 0; i < kQuadLines; ++i, from[i - 1] += step[i - 1])
        lines[i] = kPlain ? _mm512_loadu_si512(from[i]) : _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, from[i]), flip);
      interleave(lines, to);
    }
  }

  template <int N>
  void sum_pixels(const std::byte* x, const std::byte* w, int32_t* sums) const {
    const int64_t column = quads * kQuadBytes, next = d.stride * column;
    __m512i sum[N][kVectors];
#pragma GCC unroll 16
    for (int p = 0; p < N; ++p)
      for (int v = 0; v < kVectors; ++v) sum[p][v] = _mm512_loadu_si512(d.seeds + channel + 16 * v);
    for (int64_t k = 0; k < d.kernel_width; ++k, x += d.dilation * column) {
      const std::byte* from = x;
      for (int64_t q = 0; q < quads; ++q, from += kQuadBytes, w += kWeightBytes) {
        __m512i weights[kVectors];
        for (int v = 0; v < kVectors; ++v) weights[v] = _mm512_loadu_si512(w + 64 * v);
#pragma GCC unroll 16
        for (int p = 0; p < N; ++p)
          for (int v = 0; v < kVectors; ++v)
            sum[p][v] = VnniLanes::add(sum[p][v], _mm512_loadu_si512(from + p * next + 64 * v), weights[v]);
      }
    }
#pragma GCC unroll 16
    for (int p = 0; p < N; ++p)
      for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(sums + p * kChannels + 16 * v, sum[p][v]);
  }
  template <size_t... N>
  static constexpr auto by_pixels(std::index_sequence<N...>) {
    return std::array{&VnniDepthwiseBlock::template sum_pixels<static_cast<int>(N) + 1>...};
  }

  void finish(const int32_t* sums, int64_t first, int64_t pixels) const {
    constexpr int kFirst = kVectors == 3 ? 2 : kVectors;
    const int64_t head = count < kFirst * kPanelColumns ? count : kFirst * kPanelColumns;
    IntegerFinish<VnniLanes>::finish_panels<kFirst>(d.result, sums, kChannels, first, pixels, channel, head);
    if constexpr (kFirst < kVectors)
      IntegerFinish<VnniLanes>::finish_panels<1>(d.result, sums + head, kChannels, first, pixels, channel + head, count - head);
  }

  void convolve(const std::byte* weights) const {
    static constexpr auto kTiles = by_pixels(std::make_index_sequence<kPixels>{});
    for (int64_t q = 0; q < quads; ++q) kVectors == 4 && count >= 64 && d.flip == std::byte{0} ? interleave_quad<true>(q) : interleave_quad<false>(q);
    alignas(64) std::array<int32_t, kTogether * kChannels> sums;
    const int64_t pixel_bytes = d.stride * quads * kQuadBytes;
    for (int64_t first = 0; first < d.output_width; first += kTogether) {
      const int64_t left = d.output_width - first, pixels = left < kTogether ? left : kTogether;
      int64_t tiles = (pixels + kPixels - 1) / kPixels;
      for (int64_t done = 0; done < pixels; --tiles) {
        const int64_t n = (pixels - done + tiles - 1) / tiles;
        (this->*kTiles[static_cast<size_t>(n - 1)])(d.scratch + (first + done) * pixel_bytes, weights, sums.data() + done * kChannels);
        done += n;
      }
      finish(sums.data(), first, pixels);
    }
  }
};

void vnni_depthwise_quads(const DepthwiseLines& d, int64_t first, const std::byte* weights) {
  const int64_t block_bytes = d.kernel_width * depthwise_quads(d.line_count) * 4 * kDepthwiseChannels;
  for (int64_t channel = first; channel < d.channels; channel += kDepthwiseChannels, weights += block_bytes) {
    const int64_t count = d.channels - channel;
    if (count > 48)
      VnniDepthwiseBlock<4>{d, channel, count < kDepthwiseChannels ? count : kDepthwiseChannels}.convolve(weights);
    else if (count > 32)
      VnniDepthwiseBlock<3>{d, channel, count}.convolve(weights);
    else if (count > 16)
      VnniDepthwiseBlock<2>{d, channel, count}.convolve(weights);
    else
      VnniDepthwiseBlock<1>{d, channel, count}.convolve(weights);
  }
}

void vnni_depthwise_lines(const DepthwiseLines& d) {
  const int64_t block_bytes = d.kernel_width * depthwise_quads(d.line_count) * 4 * kDepthwiseChannels;
  const auto weights = [&](int64_t channel) { return d.narrow + channel / kDepthwiseChannels * block_bytes + channel % kDepthwiseChannels * 4; };
  int64_t channel = 0;
  if (goes_by_columns(d)) {
    const auto columns = d.kernel_width == 3 ? (d.stride == 1 ? &vnni_depthwise_columns<3, 1, 1> : &vnni_depthwise_columns<3, 2, 1>)
                                             : (d.stride == 1 ? &vnni_depthwise_columns<5, 1, 2> : &vnni_depthwise_columns<5, 2, 2>);
    for (int64_t n; (n = vector_channels(d.channels - channel)) > 0; channel += n) columns(d, channel, n, weights(channel));
  }
  for (int64_t line = 0; line < d.count && channel < d.channels; ++line) vnni_depthwise_quads(line_at(d, line), channel, weights(channel));
}

}  // namespace
}  // namespace tandem::cpu
