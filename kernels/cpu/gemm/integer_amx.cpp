// Byte products by the tiles of AMX; what has no tile form is that of AVX-512 VNNI, which machines with AMX have.
#include "kernels/cpu/gemm/integer_amx_tile.h"
#include "kernels/cpu/gemm/integer_avx512_combine-inl.h"
#include "kernels/cpu/gemm/integer_look_up-inl.h"
#include "kernels/cpu/gemm/integer_vnni_depthwise-inl.h"

namespace tandem::cpu {
namespace {

// The intrinsics of g++ 12 want literals for tiles. Nothing but these instructions touches tiles, and all are volatile: they stay in order.
struct HardwareTiles {
  void configure(const TileShapes& shapes) { asm volatile("ldtilecfg %0" : : "m"(shapes)); }
  void release() { asm volatile("tilerelease"); }
  template <size_t t>
  void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(t) : "memory");
  }
  template <size_t t>
  void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(t) : "memory");
  }
  template <size_t c, size_t a, size_t b>
  void add_products(bool a_signed) {
    if (a_signed)
      asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
    else
      asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};

}  // namespace

constinit const IntegerTier kAmxIntegers = make_integer_tier<VnniLanes>(
    make_amx_kernel<HardwareTiles, VnniLanes>(make_block_kernel<VnniLanes>()), {&IntegerDepthwiseLine<VnniLanes>::wide, &vnni_depthwise_line}, &combine512, &look_up_512);

}  // namespace tandem::cpu
