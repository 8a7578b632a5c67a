// Lines of depthwise convolutions by products of bytes (AVX-512 VNNI), column by column of the image, sums in registers from seed to result. Included by
// the tiers' files only, in an unnamed namespace.
//
// Unpacking makes quads of four lines within lanes of 128 bits, packing takes sums back in the same way: so nothing changes places, but for weights, once,
// when they are packed (place_in_lanes), and what belongs to channels, once a line.
#pragma once

#include "kernels/cpu/gemm/integer_depthwise.h"
#include "kernels/cpu/gemm/integer_finish.h"
#include "kernels/cpu/gemm/integer_vnni-inl.h"

namespace tandem::cpu {
namespace {

template <int kBytes>
struct VectorTypes {
  using Int = __m512i;
  using Float = __m512;
};
template <>
struct VectorTypes<32> {
  using Int = __m256i;
  using Float = __m256;
};
template <>
struct VectorTypes<16> {
  using Int = __m128i;
  using Float = __m128;
};

// Instructions on vectors of any width.
template <int kBytes>
struct VectorsOf {
  using Int = typename VectorTypes<kBytes>::Int;
  using Float = typename VectorTypes<kBytes>::Float;

  template <class Number>
  static Int all(Number x) {
    std::array<Number, kBytes / sizeof(Number)> numbers;
    numbers.fill(x);
    Int y;
    std::memcpy(&y, &numbers, kBytes);
    return y;
  }
  static Int unpack_low_bytes(Int a, Int b) {
    Int y;
    asm("vpunpcklbw %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
  }
  static Int unpack_high_bytes(Int a, Int b) {
    Int y;
    asm("vpunpckhbw %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
  }
  static Int unpack_low_words(Int a, Int b) {
    Int y;
    asm("vpunpcklwd %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
  }
  static Int unpack_high_words(Int a, Int b) {
    Int y;
    asm("vpunpckhwd %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
  }
  static Int words(Int a, Int b) {
    Int y;
    asm("vpackssdw %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
  }
  static Int bytes(Int a, Int b) {
    Int y;
    asm("vpackuswb %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
  }
  static Int add_words(Int a, const Int& b) {
    asm("vpaddsw %1, %0, %0" : "+v"(a) : "m"(b));
    return a;
  }
  static Int add_products(Int sum, Int a, const Int& weights) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "m"(weights));
    return sum;
  }
  static Float floats(Int x) {
    Float y;
    asm("vcvtdq2ps %1, %0" : "=v"(y) : "v"(x));
    return y;
  }
  // x * a + b to the nearest.
  static Int nearest(Float x, Float a, const Float& b) {
    Int y;
    asm("vfmadd213ps %2, %1, %0" : "+v"(x) : "v"(a), "m"(b));
    asm("vcvtps2dq %1, %0" : "=v"(y) : "v"(x));
    return y;
  }
  // a | (b ^ c)
  static Int or_different(Int a, Int b, Int c) {
    asm("vpternlogd $0xF6, %2, %1, %0" : "+v"(a) : "v"(b), "v"(c));
    return a;
  }
  static bool is_zero(Int x) {
    __mmask16 mask;
    asm("vptestmd %1, %1, %0" : "=k"(mask) : "v"(x));
    return mask == 0;
  }
};

// Of kChannels channels (16, 32 or 64) from `channel` on; kernels of kWidth columns and up to 4 * kQuads lines.
template <int kChannels, int kWidth, int kStride, int kQuads>
class VnniDepthwiseColumns {
 public:
  VnniDepthwiseColumns(const DepthwiseLines& d, int64_t channel, const std::byte* weights) : d_(d), channel_(channel), weights_(weights), flip_(Vectors::all(d.flip)) {
    in_lanes(d.seeds + channel, seeds_);
    if (!d.result.quantized) return;
    typename IntegerFinish<VnniLanes>::Own own;
    const PanelScales s = IntegerFinish<VnniLanes>::scales_of(d.result, channel, kChannels, kChannels / kPanelColumns, own);
    Float addend[4], tolerance[4];
    in_lanes(s.multiplier, multiplier_), in_lanes(s.addend, addend), in_lanes(s.tolerance, tolerance);
    for (int v = 0; v < 4; ++v) least_[v] = addend[v] - tolerance[v], most_[v] = addend[v] + tolerance[v];
    const bool is_signed = Finish512::is_signed(s);
    zero_ = Vectors::all(static_cast<int16_t>(s.zero + (is_signed ? 128 : 0)));
    result_flip_ = Vectors::all(static_cast<uint8_t>(is_signed ? 0x80 : 0));
    is_sound_ = Finish512::is_whole_range(s);
    for (int64_t c = 0; c < kChannels; ++c) is_sound_ = is_sound_ && s.tolerance[c] < 0.5f;
  }

  void convolve() const {
    for (int64_t line = 0; line < d_.count; ++line) convolve(line);
  }

 private:
  static constexpr int kLines = kQuads * static_cast<int>(kQuadLines);
  static constexpr int kSums = (kWidth + kStride - 1) / kStride;  // pixels that a column is part of
  using Vectors = VectorsOf<kChannels>;
  using Int = typename Vectors::Int;
  using Float = typename Vectors::Float;

  // The next column of the image's lines.
  struct Columns {
    int64_t at, place, step;
    const std::byte* outside;
    std::array<const std::byte*, kLines> line;
    std::array<int64_t, kLines> moves;  // all bits, or none: outside the image
  };

  void convolve(int64_t line) const {
    std::array<std::byte, kChannels> outside;
    outside.fill(d_.zero);
    const std::byte* const* lines = d_.lines + line * d_.line_count;
    const int64_t* strides = d_.strides + line * d_.line_count;
    Columns x{-d_.pad, 0, 0, outside.data(), {}, {}};
    for (size_t l = 0; l < kLines; ++l) {
      const bool inside = static_cast<int64_t>(l) < d_.line_count && strides[l] != 0;
      x.line[l] = inside ? lines[l] + channel_ : outside.data();
      x.moves[l] = inside ? -1 : 0;
      if (inside) x.step = strides[l];
    }
    x.place = x.at * x.step;
    Int sum[kSums][4];
#pragma GCC unroll 5
    for (int i = 0; i < kSums; ++i) begin(sum[i]);
#pragma GCC unroll 4
    for (int j = 0; j < kWidth - kStride; ++j) add_column(x, j, sum);
    const int64_t first = line * d_.output_width;
    for (int64_t pixel = first; pixel < first + d_.output_width; ++pixel) {
#pragma GCC unroll 2
      for (int j = kWidth - kStride; j < kWidth; ++j) add_column(x, j, sum);
      finish(sum[0], pixel);
#pragma GCC unroll 4
      for (int i = 0; i + 1 < kSums; ++i)
        for (int v = 0; v < 4; ++v) sum[i][v] = sum[i + 1][v];
      begin(sum[kSums - 1]);
    }
  }

  template <class T, class Vector>
  static void in_lanes(const T* from, Vector (&to)[4]) {
    for (int i = 0; i < 4; ++i)
      for (int lane = 0; lane < kChannels / 16; ++lane) std::memcpy(reinterpret_cast<char*>(&to[i]) + 16 * lane, from + 16 * lane + 4 * i, 16);
  }
  [[gnu::always_inline]] void begin(Int (&sum)[4]) const {
    for (int v = 0; v < 4; ++v) sum[v] = seeds_[v];
  }

  // Column j of the kernel of the first pixel, j - kStride of the second ...
  [[gnu::always_inline]] void add_column(Columns& x, int j, Int (&sum)[kSums][4]) const {
    const bool inside = x.at >= 0 && x.at < d_.input_width;
#pragma GCC unroll 2
    for (int q = 0; q < kQuads; ++q) {
      Int line[kQuadLines];
#pragma GCC unroll 4
      for (int l = 0; l < static_cast<int>(kQuadLines); ++l) {
        const auto at = static_cast<size_t>(q * static_cast<int>(kQuadLines) + l);
        std::memcpy(&line[l], inside ? x.line[at] + (x.place & x.moves[at]) : x.outside, kChannels);
        line[l] ^= flip_;
      }
      const Int low = Vectors::unpack_low_bytes(line[0], line[1]), also_low = Vectors::unpack_low_bytes(line[2], line[3]);
      const Int high = Vectors::unpack_high_bytes(line[0], line[1]), also_high = Vectors::unpack_high_bytes(line[2], line[3]);
      const Int quads[4] = {Vectors::unpack_low_words(low, also_low), Vectors::unpack_high_words(low, also_low),
                            Vectors::unpack_low_words(high, also_high), Vectors::unpack_high_words(high, also_high)};
#pragma GCC unroll 5
      for (int i = 0; i < kSums; ++i) {
        const int k = j - i * kStride;
        if (k < 0) continue;
        const auto* w = reinterpret_cast<const Int*>(weights_ + (k * kQuads + q) * kQuadLines * kDepthwiseChannels);
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) sum[i][v] = Vectors::add_products(sum[i][v], quads[v], w[v]);
      }
    }
    ++x.at, x.place += x.step;
  }

  [[gnu::always_inline]] void finish(const Int (&sum)[4], int64_t pixel) const {
    if (!is_sound_) return settle(sum, pixel);
    Float x[4];
    Int whole[4], also[4], apart{};
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) x[v] = Vectors::floats(sum[v]);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) whole[v] = Vectors::nearest(x[v], multiplier_[v], least_[v]), also[v] = Vectors::nearest(x[v], multiplier_[v], most_[v]);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) apart = Vectors::or_different(apart, whole[v], also[v]);
    const Int low = Vectors::add_words(Vectors::words(whole[0], whole[1]), zero_), high = Vectors::add_words(Vectors::words(whole[2], whole[3]), zero_);
    const Int bytes = Vectors::bytes(low, high) ^ result_flip_;
    std::memcpy(d_.result.quantized + pixel * d_.result.stride + channel_, &bytes, kChannels);
    if (!Vectors::is_zero(apart)) [[unlikely]] settle(sum, pixel);
  }
  // Near a tie, sums that stay such, and bounds and scales that are not for `finish`.
  [[gnu::always_inline]] void settle(const Int (&sum)[4], int64_t pixel) const {
    const Int copy[4] = {sum[0], sum[1], sum[2], sum[3]};
    settle_copy(copy, pixel);
  }
  [[gnu::noinline]] void settle_copy(const Int (&sum)[4], int64_t pixel) const {
    alignas(64) std::array<int32_t, kChannels> sums;
    for (int i = 0; i < 4; ++i)
      for (int lane = 0; lane < kChannels / 16; ++lane)
        std::memcpy(sums.data() + 16 * lane + 4 * i, reinterpret_cast<const char*>(&sum[i]) + 16 * lane, 16);
    IntegerFinish<VnniLanes>::finish_panels<kChannels / kPanelColumns>(d_.result, sums.data(), kChannels, pixel, 1, channel_, kChannels);
  }

  const DepthwiseLines& d_;
  int64_t channel_;
  const std::byte* weights_;
  Int seeds_[4];
  Float multiplier_[4], least_[4], most_[4];
  Int zero_, flip_, result_flip_;
  bool is_sound_ = false;
};

template <int kWidth, int kStride, int kQuads>
void vnni_depthwise_columns(const DepthwiseLines& d, int64_t channel, int64_t channels, const std::byte* weights) {
  if (channels == 64)
    VnniDepthwiseColumns<64, kWidth, kStride, kQuads>(d, channel, weights).convolve();
  else if (channels == 32)
    VnniDepthwiseColumns<32, kWidth, kStride, kQuads>(d, channel, weights).convolve();
  else
    VnniDepthwiseColumns<16, kWidth, kStride, kQuads>(d, channel, weights).convolve();
}

}  // namespace
}  // namespace tandem::cpu
