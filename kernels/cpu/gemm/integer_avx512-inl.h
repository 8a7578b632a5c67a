// What the tiers with AVX-512 share: the end of a tile in vectors of sixteen. Included by their files only, in an unnamed namespace.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {
namespace {

struct Finish512 {
  static constexpr bool kOwnFinish = true;
  static constexpr int kGreaterMagnitude = 0b1011;  // of vrangeps
  static constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

  // Four bytes of each lane of 128 bits to where four lanes have them side by side.
  static __m512i transposed_dwords(__m512i x) {
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
  }

  // Whole numbers to bytes of u8, or i8 if they reach below 0.
  struct Narrowing {
    __m512i low, high, zero, flip;
    bool clamped;  // by more than the type
    explicit Narrowing(const PanelScales& s)
        : low(_mm512_set1_epi16(static_cast<int16_t>(s.low))), high(_mm512_set1_epi16(static_cast<int16_t>(s.high))),
          zero(_mm512_set1_epi16(static_cast<int16_t>(s.zero + (is_signed(s) ? 128 : 0)))),
          flip(_mm512_set1_epi8(static_cast<char>(is_signed(s) ? 0x80 : 0))), clamped(!is_whole_range(s)) {}
    template <bool kMayClamp>
    __m512i words(__m512i a, __m512i b) const {
      __m512i both = _mm512_packs_epi32(a, b);
      if (kMayClamp && clamped) both = _mm512_min_epi16(_mm512_max_epi16(both, low), high);
      return _mm512_adds_epi16(both, zero);
    }
    // kMayClamp: false if the range is known to be the type's.
    template <bool kMayClamp = true>
    __m512i bytes(const __m512i* x) const {
      const __m512i packed = _mm512_packus_epi16(words<kMayClamp>(x[0], x[1]), words<kMayClamp>(x[2], x[3]));
      return transposed_dwords(_mm512_xor_si512(packed, flip));
    }
  };
  static bool is_signed(const PanelScales& s) { return s.low + s.zero < 0; }
  static bool is_whole_range(const PanelScales& s) { return s.low + s.zero == (is_signed(s) ? -128 : 0) && s.high - s.low == 255; }

  // Bytes [4 / P rows][P panels] to their rows.
  template <int P>
  static void store_rows(__m512i bytes, int64_t rows, std::byte* out, int64_t stride) {
    const auto part = [&](int64_t r) { return reinterpret_cast<__m128i*>(out + r * stride); };
    if constexpr (P == 4) {
      _mm512_storeu_si512(out, bytes);
    } else if constexpr (P == 2) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(part(0)), _mm512_castsi512_si256(bytes));
      if (rows > 1) _mm256_storeu_si256(reinterpret_cast<__m256i*>(part(1)), _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      _mm_storeu_si128(part(0), _mm512_castsi512_si128(bytes));
      if (rows > 1) _mm_storeu_si128(part(1), _mm512_extracti32x4_epi32(bytes, 1));
      if (rows > 2) _mm_storeu_si128(part(2), _mm512_extracti32x4_epi32(bytes, 2));
      if (rows > 3) _mm_storeu_si128(part(3), _mm512_extracti32x4_epi32(bytes, 3));
    }
  }

  static __mmask16 too_near(__m512 rest, const float* tolerance) {
    return _mm512_cmp_ps_mask(_mm512_abs_ps(rest), _mm512_sub_ps(_mm512_set1_ps(0.5f), _mm512_loadu_ps(tolerance)), _CMP_NLE_UQ);
  }
  static __m512 value_of(__m512i sums, __m512 multiplier, __m512 addend) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), multiplier, addend);
  }
  static __m512 rest_of(__m512 value, __m512i whole) { return _mm512_sub_ps(value, _mm512_cvtepi32_ps(whole)); }

  // Lines of P panels of sums to lines of bytes, kLines at a time. Values fit i32 where the tolerance is not above all rests.
  template <int P>
  class Lines {
   public:
    static constexpr int64_t kLines = 4 / P;
    explicit Lines(const PanelScales& s) : narrowing_(s), tolerance_(s.tolerance) {
      for (int p = 0; p < P; ++p) {
        multiplier_[p] = _mm512_loadu_ps(s.multiplier + p * kPanelColumns), addend_[p] = _mm512_loadu_ps(s.addend + p * kPanelColumns);
        farthest_[p] = _mm512_setzero_ps();
      }
    }
    // kLines of them, or `lines` if these are fewer. Inlined, or what stays in registers from line to line would go by memory.
    [[gnu::always_inline]] void quantize(const int32_t* sums, int64_t stride, int64_t lines, std::byte* out, int64_t out_stride) {
      quantize([&](int line, int p) { return _mm512_loadu_si512(sums + (line < lines ? line : 0) * stride + p * kPanelColumns); }, lines, out, out_stride);
    }
    // The same of sums that sum_of(line, panel) gives, for any line below kLines.
    template <class SumOf>
    [[gnu::always_inline]] void quantize(SumOf sum_of, int64_t lines, std::byte* out, int64_t out_stride) {
      __m512i whole[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const int p = v % P;
        const __m512 value = value_of(sum_of(v / P, p), multiplier_[p], addend_[p]);
        whole[v] = _mm512_cvt_roundps_epi32(value, kNearest);
        farthest_[p] = _mm512_range_ps(farthest_[p], _mm512_reduce_ps(value, kNearest), kGreaterMagnitude);
      }
      store_rows<P>(narrowing_.bytes(whole), lines, out, out_stride);
    }
    // Which panels may have wrong bytes, as bits.
    uint32_t near_ties() const {
      uint32_t near = 0;
      for (int p = 0; p < P; ++p) near |= static_cast<uint32_t>(too_near(farthest_[p], tolerance_ + p * kPanelColumns) != 0) << p;
      return near;
    }

   private:
    Narrowing narrowing_;
    const float* tolerance_;
    __m512 multiplier_[P], addend_[P], farthest_[P];
  };
  // The whole part of sums * slope + offset. An instruction that rounds down takes no operand from memory: so the offset is loaded here, lest the compiler
  // keeps it in a register.
  [[gnu::always_inline]] static __m512i floor_of(__m512i sums, __m512 slope, const __m512& offset) {
    __m512 value;
    asm("vmovaps %1, %0" : "=v"(value) : "m"(offset));
    asm("vfmadd231ps %{rd-sae%}, %2, %1, %0" : "+v"(value) : "v"(_mm512_cvtepi32_ps(sums)), "v"(slope));
    return _mm512_cvt_roundps_epi32(value, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }

  // A tile of whole panels of sums from registers to bytes. By FloorScales where all columns have them. Else a sum goes to both ends of its tolerance: where
  // these round alike, it is near no tie. Scales stay in memory, so that the tile's sums need not go there.
  class Tile {
   public:
    Tile(const PanelScales& s, int64_t panels) {
      if (!s.multiplier) return;
      zero_ = _mm512_set1_epi16(static_cast<int16_t>(s.zero + (is_signed(s) ? 128 : 0)));
      flip_ = _mm512_set1_epi8(static_cast<char>(is_signed(s) ? 0x80 : 0));
      is_sound_ = is_whole_range(s);
      has_floors_ = true;
      for (int64_t p = 0; p < panels; ++p) has_floors_ = has_floors_ && s.have_floors(p * kPanelColumns);
      for (int64_t p = 0; p < panels; ++p) {
        const auto at = [&](const auto* numbers) { return numbers + p * kPanelColumns; };
        if (has_floors_) {
          factor_[p] = _mm512_loadu_ps(at(s.floors.slope)), least_[p] = _mm512_loadu_ps(at(s.floors.offset));
          exception_[p] = _mm512_loadu_si512(at(s.floors.exception));
          continue;
        }
        const __m512 addend = _mm512_loadu_ps(at(s.addend)), tolerance = _mm512_loadu_ps(at(s.tolerance));
        factor_[p] = _mm512_loadu_ps(at(s.multiplier));
        least_[p] = _mm512_sub_ps(addend, tolerance), most_[p] = _mm512_add_ps(addend, tolerance);
        is_sound_ = is_sound_ && _mm512_cmp_ps_mask(tolerance, _mm512_set1_ps(0.5f), _CMP_LT_OQ) == 0xFFFF;
      }
    }
    // Not of narrower bounds than the type's, nor of scales whose sums are all decided exactly.
    bool is_sound() const { return is_sound_; }
    // Returns whether all bytes are right.
    template <int R, int P>
    [[gnu::always_inline]] bool quantize(const __m512i (&sum)[R][P], std::byte* out, int64_t stride) const {
      return has_floors_ ? quantize<R, P>(sum, Floors(*this), out, stride) : quantize<R, P>(sum, Ends(*this), out, stride);
    }

   private:
    // How sum v of four becomes whole, and whether some may be wrong.
    class Floors {
     public:
      explicit Floors(const Tile& tile) : tile_(tile) {}
      [[gnu::always_inline]] __m512i operator()(__m512i sum, int v, int p) {
        usual_[v] = _mm512_mask_cmpneq_epi32_mask(usual_[v], sum, tile_.exception_[p]);
        return floor_of(sum, tile_.factor_[p], tile_.least_[p]);
      }
      bool are_right() const { return (usual_[0] & usual_[1] & usual_[2] & usual_[3]) == 0xFFFF; }

     private:
      const Tile& tile_;
      __mmask16 usual_[4] = {0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF};
    };
    class Ends {
     public:
      explicit Ends(const Tile& tile) : tile_(tile), apart_(_mm512_setzero_si512()) {}
      [[gnu::always_inline]] __m512i operator()(__m512i sum, int, int p) {
        __m512 least = _mm512_cvtepi32_ps(sum), most = least;
        asm("vfmadd213ps %2, %1, %0" : "+v"(least) : "v"(tile_.factor_[p]), "m"(tile_.least_[p]));
        asm("vfmadd213ps %2, %1, %0" : "+v"(most) : "v"(tile_.factor_[p]), "m"(tile_.most_[p]));
        const __m512i whole = _mm512_cvt_roundps_epi32(least, kNearest);
        constexpr int kOrDifferent = 0xF6;  // a | (b ^ c)
        apart_ = _mm512_ternarylogic_epi32(apart_, whole, _mm512_cvt_roundps_epi32(most, kNearest), kOrDifferent);
        return whole;
      }
      bool are_right() const { return _mm512_test_epi32_mask(apart_, apart_) == 0; }

     private:
      const Tile& tile_;
      __m512i apart_;
    };

    template <int R, int P, class Rounding>
    [[gnu::always_inline]] bool quantize(const __m512i (&sum)[R][P], Rounding rounded, std::byte* out, int64_t stride) const {
      constexpr int kLines = 4 / P;
#pragma GCC unroll 16
      for (int r = 0; r < R; r += kLines, out += kLines * stride) {
        __m512i whole[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) whole[v] = rounded(sum[r + v / P < R ? r + v / P : r][v % P], v, v % P);
        const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(whole[0], whole[1]), zero_);
        const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(whole[2], whole[3]), zero_);
        store_rows<P>(transposed_dwords(_mm512_xor_si512(_mm512_packus_epi16(low, high), flip_)), R - r, out, stride);
      }
      return rounded.are_right();
    }

    __m512 factor_[4], least_[4], most_[4];
    __m512i exception_[4];
    __m512i zero_, flip_;
    bool is_sound_ = false, has_floors_ = false;
  };
  static uint32_t near_ties(const int32_t* sums, const PanelScales& s, int64_t column) {
    const __m512 value = value_of(_mm512_loadu_si512(sums), _mm512_loadu_ps(s.multiplier + column), _mm512_loadu_ps(s.addend + column));
    return too_near(rest_of(value, _mm512_cvt_roundps_epi32(value, kNearest)), s.tolerance + column);
  }
};

}  // namespace
}  // namespace tandem::cpu
