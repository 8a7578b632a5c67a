// Byte products by AVX-512 VNNI: 12 x 32 sums in 24 of the 32 registers.
#include "kernels/cpu/gemm/integer_vnni-inl.h"

namespace tandem::cpu {

constinit const IntegerTier kVnniIntegers = make_integer_tier<VnniLanes>(
    make_block_kernel<VnniLanes>(), {&IntegerDepthwiseLine<VnniLanes>::wide, &VnniDepthwise::line});

}  // namespace tandem::cpu
