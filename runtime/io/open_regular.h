// Inside runtime/io: a path of the user's, opened.
#pragma once

#include <filesystem>

#include "runtime/io/file_descriptor.h"

namespace tandem {

// For reading, symlinks followed. Throws NotFound, InvalidArgument if it is not a regular file, Unavailable if it may not be
// read.
FileDescriptor open_regular(const std::filesystem::path& path);

}  // namespace tandem
