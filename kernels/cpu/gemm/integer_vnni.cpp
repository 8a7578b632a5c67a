// Byte products by AVX-512 VNNI: 12 x 32 sums in 24 of the 32 registers.
#include "kernels/cpu/gemm/integer_look_up-inl.h"
#include "kernels/cpu/gemm/integer_scale_line-inl.h"
#include "kernels/cpu/gemm/integer_vnni_depthwise-inl.h"
#include "kernels/cpu/gemm/integer_vnni_residual-inl.h"

namespace tandem::cpu {

namespace {
constexpr IntegerBlockKernel make_vnni_kernel() {
  IntegerBlockKernel kernel = make_block_kernel<VnniLanes>();
  kernel.takes_patches = true;
  kernel.find_quick = &find_vnni_residual;
  return kernel;
}
}  // namespace

constinit const IntegerTier kVnniIntegers = make_integer_tier<VnniLanes>(
    make_vnni_kernel(), {&IntegerDepthwiseLine<VnniLanes>::wide, &vnni_depthwise_lines}, &combine_vnni, &look_up_512, &scale_line_512);

}  // namespace tandem::cpu
