// What an instruction set brings to products of bytes: i8 rows of A times u8 panels of B, sums in i32, exact.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/isa.h"
#include "kernels/cpu/gemm/integer_block.h"
#include "kernels/cpu/gemm/integer_depthwise.h"

namespace tandem::cpu {

// What zero points change in a line of sums: sum -= row_zero * column_sums[j] + row_sum * column_zeros[j].
struct LineCorrection {
  int32_t row_zero = 0, row_sum = 0;
  const int32_t *column_sums = nullptr, *column_zeros = nullptr;
};

// How a line of sums becomes bytes (see kernels/api/requantize.h).
struct LineScales {
  const float *multiplier, *addend, *tolerance;
  bool per_column;  // one of each an element; else one for the line
  float low, high;
  int32_t zero;
};

// Lines of an image, and the taps of one filter on them: [lines][quads][4], i8, in `weights`.
struct LineWindows {
  const std::byte* const* lines;  // u8; readable for kWindowSlack bytes behind the last that a window of them needs
  int64_t count, quads, stride;   // stride 1 or 2: from one window to the next
  const std::byte* weights;
};
inline constexpr int64_t kWindowSlack = 128;

struct IntegerTier {
  int64_t rows, columns;  // of one tile of C
  // sums [count][columns]: `count` <= rows rows of A, `stride` apart, by one panel of B: [quads][columns][4].
  void (*multiply)(const std::byte* a, int64_t stride, int64_t count, const std::byte* panel, int64_t quads, int32_t* sums);
  // sums[j] = sum over the windows' taps at the line's position j; writes up to 15 sums more.
  void (*filter_line)(const LineWindows&, int64_t n, int32_t* sums);
  void (*correct)(int32_t* sums, int64_t n, const LineCorrection&);
  // Whether each element was far enough from a tie; if not, some of them may be wrong.
  bool (*requantize)(const int32_t* sums, int64_t n, const LineScales&, std::byte* out);
  // to[j][i] = lines[i][j] ^ flip, i < 4.
  void (*interleave)(const std::byte* const* lines, int64_t n, std::byte flip, std::byte* to);
  CombineLines combine;
  // Of kernels/api/quantize.h, with one scale; `step` of x is not looked at.
  void (*dequantize)(const LineOperand& x, int64_t n, float* y);
  void (*quantize)(const float* x, int64_t n, float scale, float zero, IntegerRange range, std::byte* y);
  // y[i] = table[x[i]], of 256; y may be x.
  void (*look_up)(const std::byte* x, const std::byte* table, int64_t n, std::byte* y);
  // to[i] = from[i] ^ flip; returns the sum of those as i8.
  int32_t (*copy_row)(const std::byte* from, int64_t n, std::byte flip, std::byte* to);
  IntegerBlockKernel block;
  IntegerDepthwiseKernel depthwise;
  ScaleLine scale_line = nullptr;  // null: not quicker than `combine`
};

const IntegerTier& integer_tier(Isa isa);

extern const IntegerTier kPortableIntegers;
extern const IntegerTier kAvx2Integers;
extern const IntegerTier kAvx2VnniIntegers, kAvx2VnniEvexIntegers;
extern const IntegerTier kAvx512Integers;
extern const IntegerTier kVnniIntegers;
extern const IntegerTier kAmxIntegers;
extern const IntegerTier kNeonIntegers;
extern const IntegerTier kDotprodIntegers;
extern const IntegerTier kI8mmIntegers;

}  // namespace tandem::cpu
