// Tiers by cpuid. The compiler's __builtin_cpu_supports also asks XGETBV whether the operating system saves the wide registers.
#include "kernels/api/isa.h"

#include <array>
#include <cstdlib>
#include <string>

#include "kernels/base/error.h"
#include "kernels/cpu/amx_permission.h"

namespace tandem::cpu {
namespace {

struct Tier {
  Isa isa;
  std::string_view name;
  bool (*supported)();
};

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_amx() { return has_vnni() && amx_is_permitted(); }
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_vnni() { return false; }
bool has_amx() { return false; }
#endif

constexpr std::array<Tier, 5> kTiers = {{
    {Isa::kPortable, "portable", [] { return true; }},
    {Isa::kAvx2, "avx2", has_avx2},
    {Isa::kAvx512, "avx512", has_avx512},
    {Isa::kVnni, "vnni", has_vnni},
    {Isa::kAmx, "amx", has_amx},
}};

std::string list_names(const std::vector<Isa>& isas) {
  std::string text;
  for (Isa isa : isas) text.append(text.empty() ? "" : ", ").append(name(isa));
  return text;
}

}  // namespace

std::string_view name(Isa isa) { return kTiers[static_cast<size_t>(isa)].name; }

bool machine_has(Isa isa) { return kTiers[static_cast<size_t>(isa)].supported(); }

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Tier& tier : kTiers)
    if (tier.supported()) isas.push_back(tier.isa);
  return isas;
}

Isa choose_isa(std::string_view forced) {
  const std::vector<Isa> available = available_isas();
  if (forced.empty()) return available.back();
  for (const Tier& tier : kTiers) {
    if (tier.name != forced) continue;
    require(tier.supported(), "TANDEM_ISA names an instruction set that this machine lacks; it has", forced,
            list_names(available));
    return tier.isa;
  }
  fail(ErrorCode::kInvalidArgument, "TANDEM_ISA is not the name of an instruction set; use one of",
       {forced, list_names(available)});
}

Isa chosen_isa() {
  static const Isa isa = [] {
    const char* forced = std::getenv("TANDEM_ISA");
    return choose_isa(forced ? forced : "");
  }();
  return isa;
}

}  // namespace tandem::cpu
