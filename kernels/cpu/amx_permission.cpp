#include "kernels/cpu/amx_permission.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tandem::cpu {

#if defined(__x86_64__) && defined(__linux__)
namespace {

constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of Linux 5.16
constexpr int kTileData = 18;               // the state component of the tiles

}  // namespace

bool amx_is_permitted() {
  static const bool permitted = __builtin_cpu_supports("amx-int8") && __builtin_cpu_supports("amx-bf16") &&
                                ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
}
#else
bool amx_is_permitted() { return false; }
#endif

}  // namespace tandem::cpu
