// Byte products by the tiles of AMX; what has no tile form is that of AVX-512 VNNI, which machines with AMX have.
#include "kernels/cpu/gemm/amx_hardware_tiles-inl.h"
#include "kernels/cpu/gemm/integer_amx_tile.h"
#include "kernels/cpu/gemm/integer_avx512_residual-inl.h"
#include "kernels/cpu/gemm/integer_look_up-inl.h"
#include "kernels/cpu/gemm/integer_scale_line-inl.h"
#include "kernels/cpu/gemm/integer_vnni_depthwise-inl.h"

namespace tandem::cpu {
constinit const IntegerTier kAmxIntegers = make_integer_tier<VnniLanes>(
    make_amx_kernel<HardwareTiles, VnniLanes, Residuals512>(make_block_kernel<VnniLanes>()),
    {&IntegerDepthwiseLine<VnniLanes>::wide, &vnni_depthwise_lines}, &combine512, &look_up_512, &scale_line_512);

}  // namespace tandem::cpu
