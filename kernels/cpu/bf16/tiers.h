// The tiers that exist, one file each. A new one is a file, a line here and a line in kernels/cpu/architecture/.
#pragma once

#include "kernels/cpu/bf16/block.h"

namespace tandem::cpu {

extern const Bf16Kernel kPortableBf16;
extern const Bf16Kernel kAvx2Bf16;    // widened to f32
extern const Bf16Kernel kAvx512Bf16;  // widened to f32
extern const Bf16Kernel kPairsBf16;   // by AVX-512 BF16
extern const Bf16Kernel kAmxBf16;
extern const Bf16Kernel kNeonBf16;    // widened to f32
extern const Bf16Kernel kMatrixBf16;  // by Arm's BF16 extension

}  // namespace tandem::cpu
