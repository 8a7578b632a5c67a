// Which instruction set the CPU kernels use. A tier is one .cpp compiled with its own flags; it is chosen once, at the first
// call.
//
// TANDEM_ISA=portable|avx2|avx2vnni|avx512|vnni|amx (x86-64) or portable|neon|dotprod|i8mm|bf16 (64-bit Arm) forces a tier (tests, comparisons).
// avx2vnni is AVX2 with dot products of bytes, vnni AVX-512 with them, amx that with tiles of bytes; dotprod is NEON with dot products of bytes, i8mm and bf16 add products of small
// matrices: they differ from avx2, avx512 and neon in products of bytes, whose results are exact in all, and of bf16. Results of one tier never
// depend on threads; tiers differ from each other in the last bits of floats.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tandem::cpu {

// Of one architecture each includes those before it; kAvx512 all but the products of kAvx2Vnni.
enum class Isa : uint8_t { kPortable, kAvx2, kAvx2Vnni, kAvx512, kVnni, kAmx, kNeon, kDotprod, kI8mm, kBf16 };

std::string_view name(Isa isa);

// Whether this processor, and the operating system on it, can run the tier.
bool machine_has(Isa isa);
// The tiers that this machine can run, kPortable first.
std::vector<Isa> available_isas();

// The best tier of the machine if `forced` is empty, else the tier of that name.
// Throws InvalidArgument for an unknown name or a tier that the machine lacks.
Isa choose_isa(std::string_view forced);
// choose_isa of the environment variable TANDEM_ISA, decided at the first call. Throws as choose_isa does.
Isa chosen_isa();

}  // namespace tandem::cpu
