// One target for libFuzzer; which one is said by TANDEM_FUZZ_TARGET. Built where the compiler has libFuzzer (-DTANDEM_FUZZ=ON).
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernels/base/error.h"
#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* wanted = std::getenv("TANDEM_FUZZ_TARGET");
  for (const tandem::fuzz::Target& target : tandem::fuzz::targets()) {
    if (target.name != std::string_view(wanted ? wanted : "model")) continue;
    try {
      target.run({reinterpret_cast<const char*>(data), size});
    } catch (const tandem::Error& error) {
      if (error.code() == tandem::ErrorCode::kInternal) std::abort();
    }
  }
  return 0;
}
