// The loops that find the ceilings, one file a set of instructions. Plain data and arithmetic only: read by files compiled with tier flags.
#pragma once

#include <cstdint>
#include <string_view>

namespace tandem::cpu {

// kInt8: u8 or s8 products summed in i32; kBf16: bf16 products summed in f32.
enum class Arithmetic : uint8_t { kF32, kBf16, kInt8 };

// A loop of one instruction on registers, in as many independent chains as hide its latency.
struct ArithmeticProbe {
  std::string_view name;
  Arithmetic arithmetic;
  double operations;            // of one step of the loop: multiplications and additions
  float (*run)(int64_t steps);  // returns something made of the sums, which so cannot be left out
};

extern const ArithmeticProbe kPortableF32Probe;
// Of x86-64.
extern const ArithmeticProbe kAvx2F32Probe, kAvx2VnniProbe, kAvx2VnniEvexProbe, kAvx512F32Probe, kVnniProbe, kBf16Probe, kAmxInt8Probe, kAmxBf16Probe;
// Of 64-bit Arm.
extern const ArithmeticProbe kNeonF32Probe, kDotprodProbe, kI8mmProbe, kMatrixBf16Probe;

// Loops over memory; n is a multiple of kStreamStep.
struct StreamProbe {
  float (*read)(const float* a, int64_t n);                // returns the sum, which so cannot be left out
  float (*read_in_streams)(const float* a, int64_t n);     // from four places at once, as panels of a matrix are read
  void (*write)(float* a, int64_t n, float value);         // a = value
  void (*copy)(float* a, const float* b, int64_t n);       // a = b
  void (*triad)(float* a, const float* b, const float* c, int64_t n, float factor);  // a = b + factor * c
};
inline constexpr int64_t kStreamStep = 512;

extern const StreamProbe kPortableStream, kAvx2Stream, kAvx512Stream;

}  // namespace tandem::cpu
