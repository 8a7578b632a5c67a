#include "tests/support/source_dir.h"

#include <cstdlib>

namespace tandem {

std::filesystem::path source_dir() {
  const char* elsewhere = std::getenv("TANDEM_SOURCE_DIR");  // set where tests run without the source tree
  return elsewhere ? elsewhere : TANDEM_SOURCE_DIR;
}

}  // namespace tandem
