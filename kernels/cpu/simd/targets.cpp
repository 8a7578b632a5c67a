#include "kernels/cpu/simd/targets.h"

#include <hwy/targets.h>

#include <hwy/highway.h>

#include "kernels/api/isa.h"

namespace tandem::cpu::simd {
namespace {

int64_t targets_above(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return HWY_SSSE3 | HWY_SSE4 | HWY_AVX2 | HWY_AVX3 | HWY_AVX3_DL;
    case Isa::kAvx2:
    case Isa::kAvx2Vnni: return HWY_AVX3 | HWY_AVX3_DL;
    case Isa::kAvx512:
    case Isa::kVnni:
    case Isa::kAmx:
    case Isa::kNeon:
    case Isa::kDotprod:
    case Isa::kI8mm:
    case Isa::kBf16: return 0;
  }
  return 0;
}

}  // namespace

void choose_targets() {
  // Highway keeps the choice in a global of its own, read at its first dispatch.
  static const bool done = [] {
    hwy::DisableTargets(targets_above(chosen_isa()));
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace tandem::cpu::simd
