// The digest of a file that is open already: of what is read, whatever its name stands for meanwhile.
#pragma once

#include <string>

#include "runtime/io/file_descriptor.h"

namespace tandem {

// SHA-256 of the whole file, 64 lower-case hex digits; where it is read next does not change. Throws Unavailable if it cannot be read.
std::string sha256_file(const FileDescriptor& file);

}  // namespace tandem
