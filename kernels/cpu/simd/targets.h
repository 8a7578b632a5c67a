// Makes Highway's dynamic dispatch follow the instruction set that Tandem chose (kernels/api/isa.h, TANDEM_ISA).
#pragma once

namespace tandem::cpu::simd {

// Idempotent and cheap after the first call.
void choose_targets();

}  // namespace tandem::cpu::simd
