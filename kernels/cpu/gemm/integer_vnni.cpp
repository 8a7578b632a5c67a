// Byte products by AVX-512 VNNI: 12 x 32 sums in 24 of the 32 registers.
#include "kernels/cpu/gemm/integer_avx512_combine-inl.h"
#include "kernels/cpu/gemm/integer_look_up-inl.h"
#include "kernels/cpu/gemm/integer_vnni_depthwise-inl.h"

namespace tandem::cpu {

constinit const IntegerTier kVnniIntegers = make_integer_tier<VnniLanes>(
    make_block_kernel<VnniLanes>(), {&IntegerDepthwiseLine<VnniLanes>::wide, &vnni_depthwise_lines}, &combine512, &look_up_512);

}  // namespace tandem::cpu
