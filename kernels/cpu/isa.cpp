// Tiers by name; what the processor has is in kernels/cpu/architecture/.
#include "kernels/api/isa.h"

#include <array>
#include <cstdlib>
#include <string>

#include "kernels/base/error.h"

namespace tandem::cpu {
namespace {

constexpr std::array<std::string_view, 10> kNames = {"portable", "avx2", "avx2vnni", "avx512", "vnni", "amx", "neon", "dotprod", "i8mm", "bf16"};

std::string list_names(const std::vector<Isa>& isas) {
  std::string text;
  for (Isa isa : isas) text.append(text.empty() ? "" : ", ").append(name(isa));
  return text;
}

}  // namespace

std::string_view name(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (size_t i = 0; i < kNames.size(); ++i)
    if (const auto isa = static_cast<Isa>(i); machine_has(isa)) isas.push_back(isa);
  return isas;
}

Isa choose_isa(std::string_view forced) {
  const std::vector<Isa> available = available_isas();
  if (forced.empty()) return available.back();
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] != forced) continue;
    const auto isa = static_cast<Isa>(i);
    require(machine_has(isa), "TANDEM_ISA names an instruction set that this machine lacks; it has " + list_names(available), forced);
    return isa;
  }
  fail(ErrorCode::kInvalidArgument, "TANDEM_ISA is not the name of an instruction set; use one of " + list_names(available), {forced});
}

Isa chosen_isa() {
  static const Isa isa = [] {
    const char* forced = std::getenv("TANDEM_ISA");
    return choose_isa(forced ? forced : "");
  }();
  return isa;
}

}  // namespace tandem::cpu
