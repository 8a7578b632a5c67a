// The tiers of f32 kernels on this architecture. A machine may lack some of them: their tests are skipped there.
#pragma once

#include <vector>

#include "kernels/api/isa.h"

namespace tandem::cpu {

inline std::vector<Isa> float_tiers() {
#ifdef __aarch64__
  return {Isa::kPortable, Isa::kNeon};
#else
  return {Isa::kPortable, Isa::kAvx2, Isa::kAvx512};
#endif
}

}  // namespace tandem::cpu
