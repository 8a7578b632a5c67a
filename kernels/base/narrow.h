// The element types of 8 bits and fewer that are only stored: float8 (OCP 8-bit floating point; the FNUZ kinds: arXiv 2206.02915),
// float8e8m0 and float4 (OCP microscaling formats 1.0), and integers of 4 and 2 bits. One byte each in memory; `bits` in its low bits.
#pragma once

#include <cstdint>

namespace tandem {

struct F8E4M3FN {  // 1 sign, 4 exponent (bias 7), 3 fraction; no infinity, NaN is S.1111.111
  uint8_t bits = 0;
};
struct F8E4M3FNUZ {  // bias 8; no infinity and no -0: 0x80 is NaN
  uint8_t bits = 0;
};
struct F8E5M2 {  // 1 sign, 5 exponent (bias 15), 2 fraction; infinities and NaNs as in IEEE 754
  uint8_t bits = 0;
};
struct F8E5M2FNUZ {  // bias 16; no infinity and no -0: 0x80 is NaN
  uint8_t bits = 0;
};
struct F8E8M0 {  // 2^(bits - 127); 0xFF is NaN
  uint8_t bits = 0;
};
struct F4E2M1 {  // 1 sign, 2 exponent (bias 1), 1 fraction: 0, 0.5, 1, 1.5, 2, 3, 4, 6
  uint8_t bits = 0;
};
struct U4 {
  uint8_t bits = 0;
};
struct I4 {  // two's complement in the low 4 bits
  uint8_t bits = 0;
};
struct U2 {
  uint8_t bits = 0;
};
struct I2 {  // two's complement in the low 2 bits
  uint8_t bits = 0;
};

}  // namespace tandem
