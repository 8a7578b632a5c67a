// The program of scripts/fuzz: one target for libFuzzer, which one is said by TANDEM_FUZZ_TARGET. Beside libFuzzer's own options:
//   --targets      prints the names of all targets
//   --seeds DIR    writes the target's seeds there, as the first files of a corpus
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernels/base/error.h"
#include "runtime/io/file.h"
#include "tests/fuzz/targets.h"

namespace tandem::fuzz {
namespace {

const Target& wanted_target() {
  const char* name = std::getenv("TANDEM_FUZZ_TARGET");
  for (const Target& target : targets())
    if (name && target.name == name) return target;
  std::fprintf(stderr, "TANDEM_FUZZ_TARGET names none of the targets that --targets prints: %s\n", name ? name : "(not set)");
  std::exit(2);
}

void write_seeds(const std::string& folder) {
  int n = 0;
  for (const std::string& seed : wanted_target().seeds()) write_file(folder + "/seed_" + std::to_string(n++), seed);
}

}  // namespace
}  // namespace tandem::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const std::string_view option = *argc > 1 ? (*argv)[1] : "";
  if (option == "--targets") {
    for (const tandem::fuzz::Target& target : tandem::fuzz::targets()) std::printf("%s\n", std::string(target.name).c_str());
    std::exit(0);
  }
  if (option == "--seeds" && *argc == 3) {
    tandem::fuzz::write_seeds((*argv)[2]);
    std::exit(0);
  }
  tandem::fuzz::wanted_target();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const tandem::fuzz::Target& target = tandem::fuzz::wanted_target();
  try {
    target.run({reinterpret_cast<const char*>(data), size});
  } catch (const tandem::Error& error) {
    if (error.code() == tandem::ErrorCode::kInternal) {
      std::fprintf(stderr, "%s\n", error.what());
      std::abort();
    }
  }
  return 0;
}
