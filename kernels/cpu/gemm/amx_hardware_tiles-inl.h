// The tile operations of AMX (amx_tiles.h) by its instructions. Included by the files of its tiers only, in an unnamed namespace.
#pragma once

#include "kernels/cpu/gemm/amx_tiles.h"

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
  // With the hint that it will not be needed again.
  template <size_t t>
  void load_once(const void* from, int64_t stride) {
    asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(t) : "memory");
  }
  template <size_t t>
  void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(t) : "memory");
  }
  template <size_t c, size_t a, size_t b, TileNumbers kNumbers>
  void add_products() {
    if constexpr (kNumbers == TileNumbers::kBf16)
      asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
    else if constexpr (kNumbers == TileNumbers::kI8)
      asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
    else
      asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};

}  // namespace
}  // namespace tandem::cpu
