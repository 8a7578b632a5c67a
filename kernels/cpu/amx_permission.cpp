#include "kernels/cpu/amx_permission.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tandem::cpu {

namespace {

constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of Linux 5.16
constexpr int kTileData = 18;               // the state component of the tiles

// Bits of EDX of CPUID leaf 7 (Intel SDM, volume 2): products of bf16, tiles, products of bytes.
bool has_amx() {
  constexpr unsigned kNeeded = 1u << 22 | 1u << 24 | 1u << 25;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & kNeeded) == kNeeded;
}

}  // namespace

bool amx_is_permitted() {
  static const bool permitted = has_amx() && ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
}

}  // namespace tandem::cpu
