// Which build of the program this is.
#pragma once

#include <string>

namespace tandem {

// The linker's mark of the running program (ELF note NT_GNU_BUILD_ID) in hex: two programs that share it are the same bytes. Empty if it has none.
std::string build_id();

}  // namespace tandem
