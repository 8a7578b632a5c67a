// What the tiers with AVX-512 VNNI share: blocks of 12 x 32 sums, and depthwise lines by products of bytes. Included by their files
// only, in an unnamed namespace. vpdpbusd adds four products u8 * i8 without saturation; it is asm because g++ 12 keeps the sums of
// the intrinsic in memory.
#pragma once

#include "kernels/cpu/gemm/integer_avx512-inl.h"
#include "kernels/cpu/gemm/integer_block_tile.h"
#include "kernels/cpu/gemm/integer_depthwise_line.h"
#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

// Windows of four bytes by two shuffles: what a lane of 128 bits needs, then the bytes of its four windows.
__m512i windows_of_line(const std::byte* line, int64_t stride) {
  const __m512i bytes = _mm512_loadu_si512(line);
  if (stride == 1) {
    const __m512i dwords = _mm512_setr_epi32(0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4);
    const __m128i windows = _mm_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6);
    return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(dwords, bytes), _mm512_broadcast_i32x4(windows));
  }
  const __m512i dwords = _mm512_setr_epi32(0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 8, 8);
  const __m128i windows = _mm_setr_epi8(0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9);
  return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(dwords, bytes), _mm512_broadcast_i32x4(windows));
}

struct VnniLanes : Finish512 {
  static constexpr int kLanes = 16, kRows = 12, kPanels = 2;
  using Sum = __m512i;
  using Panel = __m512i;
  using Row = __m512i;
  static Sum zero() { return _mm512_setzero_si512(); }
  static Panel load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Panel windows(const std::byte* line, int64_t stride) { return windows_of_line(line, stride); }
  static Row set(int32_t quad) { return _mm512_set1_epi32(quad); }
  static void store(int32_t* p, Sum sum) { _mm512_storeu_si512(p, sum); }
  static Sum add_products(Sum sum, Row a, Panel b) { return add(sum, b, a); }

  using Weights = __m512i;
  using Quad = __m512i;
  static Sum load_sums(const int32_t* p) { return _mm512_loadu_si512(p); }
  static Weights load_weights(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Quad quad_of(const std::byte* p) {
    int32_t quad;
    std::memcpy(&quad, p, sizeof quad);
    return set(quad);
  }
  static Sum add(Sum sum, Quad a, Weights b) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
};

// Four lines of 64 channels become quads, four bytes a channel: the columns of x once each, in scratch memory; then pixels by 64 channels
// in registers.
struct VnniDepthwise {
  static constexpr int kVectors = 4, kMostPixels = 5;
  static constexpr int64_t kQuadBytes = 4 * kDepthwiseChannels, kTilePixels = 30;

  // Unpacking works in lanes of 128 bits: first their dwords change places, so that channels come out in order.
  static void interleave(const __m512i* lines, std::byte* to) {
    const auto spread = [&](int i) { return Finish512::transposed_dwords(lines[i]); };
    const __m512i a = spread(0), b = spread(1), c = spread(2), e = spread(3);
    const __m512i low_ab = _mm512_unpacklo_epi8(a, b), high_ab = _mm512_unpackhi_epi8(a, b);
    const __m512i low_ce = _mm512_unpacklo_epi8(c, e), high_ce = _mm512_unpackhi_epi8(c, e);
    _mm512_storeu_si512(to, _mm512_unpacklo_epi16(low_ab, low_ce));
    _mm512_storeu_si512(to + 64, _mm512_unpackhi_epi16(low_ab, low_ce));
    _mm512_storeu_si512(to + 128, _mm512_unpacklo_epi16(high_ab, high_ce));
    _mm512_storeu_si512(to + 192, _mm512_unpackhi_epi16(high_ab, high_ce));
  }

  static void interleave_columns(const DepthwiseLine& d, int64_t channel, __mmask64 channels) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(d.flip)), outside = _mm512_set1_epi8(static_cast<char>(d.zero ^ d.flip));
    const int64_t columns = depthwise_columns(d), quads = depthwise_quads(d.line_count);
    std::byte* to = d.scratch;
    for (int64_t column = -d.pad; column < columns - d.pad; ++column)
      for (int64_t q = 0; q < quads; ++q, to += kQuadBytes) {
        if (column < 0 || column >= d.input_width) {
          for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(to + 64 * v, outside);
          continue;
        }
        __m512i lines[kQuadLines];
        for (int64_t i = 0; i < kQuadLines; ++i) {
          const int64_t l = q * kQuadLines + i;
          if (l >= d.line_count || d.strides[l] == 0)
            lines[i] = outside;
          else
            lines[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(channels, d.lines[l] + column * d.strides[l] + channel), flip);
        }
        interleave(lines, to);
      }
  }

  template <int N>
  static void sum_pixels(const DepthwiseLine& d, const std::byte* x, const std::byte* w, const int32_t* seeds, int32_t* sums) {
    const int64_t quads = depthwise_quads(d.line_count), column = quads * kQuadBytes, next = d.stride * column;
    __m512i sum[N][kVectors];
    for (int v = 0; v < kVectors; ++v) sum[0][v] = _mm512_loadu_si512(seeds + 16 * v);
    for (int p = 1; p < N; ++p)
      for (int v = 0; v < kVectors; ++v) sum[p][v] = sum[0][v];
    for (int64_t k = 0; k < d.kernel_width; ++k, x += d.dilation * column) {
      const std::byte* from = x;
      for (int64_t q = 0; q < quads; ++q, from += kQuadBytes, w += kQuadBytes) {
        __m512i weights[kVectors];
        for (int v = 0; v < kVectors; ++v) weights[v] = _mm512_loadu_si512(w + 64 * v);
#pragma GCC unroll 8
        for (int p = 0; p < N; ++p)
          for (int v = 0; v < kVectors; ++v)
            sum[p][v] = VnniLanes::add(sum[p][v], _mm512_loadu_si512(from + p * next + 64 * v), weights[v]);
      }
    }
    for (int p = 0; p < N; ++p)
      for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(sums + p * kDepthwiseChannels + 16 * v, sum[p][v]);
  }
  template <size_t... N>
  static constexpr auto by_pixels(std::index_sequence<N...>) {
    return std::array{&sum_pixels<static_cast<int>(N) + 1>...};
  }

  static void sum_block(const DepthwiseLine& d, int64_t channel, const std::byte* weights) {
    static constexpr auto kTiles = by_pixels(std::make_index_sequence<kMostPixels>{});
    alignas(64) std::array<int32_t, kTilePixels * kDepthwiseChannels> sums;
    const int64_t pixel_bytes = d.stride * depthwise_quads(d.line_count) * kQuadBytes;
    for (int64_t first = 0; first < d.output_width; first += kTilePixels) {
      const int64_t left = d.output_width - first, count = left < kTilePixels ? left : kTilePixels;
      int64_t tiles = (count + kMostPixels - 1) / kMostPixels;
      for (int64_t done = 0; done < count; --tiles) {
        const int64_t n = (count - done + tiles - 1) / tiles;
        kTiles[static_cast<size_t>(n - 1)](d, d.scratch + (first + done) * pixel_bytes, weights, d.seeds + channel,
                                           sums.data() + done * kDepthwiseChannels);
        done += n;
      }
      const int64_t channels = d.channels - channel;
      IntegerFinish<VnniLanes>::finish_panels<4>(d.result, sums.data(), kDepthwiseChannels, first, count, channel,
                                                 channels < kDepthwiseChannels ? channels : kDepthwiseChannels);
    }
  }

  static void line(const DepthwiseLine& d) {
    const int64_t block_bytes = d.kernel_width * depthwise_quads(d.line_count) * kQuadBytes;
    const std::byte* weights = d.narrow;
    for (int64_t channel = 0; channel < d.channels; channel += kDepthwiseChannels, weights += block_bytes) {
      const int64_t left = d.channels - channel;
      interleave_columns(d, channel, left >= kDepthwiseChannels ? ~__mmask64{0} : (__mmask64{1} << left) - 1);
      sum_block(d, channel, weights);
    }
  }
};

}  // namespace
}  // namespace tandem::cpu
