// Which instruction set the CPU kernels use. A tier is one .cpp compiled with its own flags; it is chosen once, at the first
// call.
//
// TANDEM_ISA=portable|avx2|avx512|vnni|amx forces a tier (tests, comparisons). A tier for NEON would join the enum and the table in
// kernels/cpu/isa.cpp. vnni is AVX-512 with VNNI, amx that with tiles of bytes: they differ from avx512 in products of bytes only,
// whose results are exact in all. Results of one tier never depend on threads; tiers differ from each other in the last bits of floats.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tandem::cpu {

enum class Isa : uint8_t { kPortable, kAvx2, kAvx512, kVnni, kAmx };  // each includes those before it

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
