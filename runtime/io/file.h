// Files, opened beneath a root and written whole or not at all. The only place that opens what a user or a model names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "runtime/io/file_descriptor.h"

namespace tandem {

// Opens `relative` beneath `root` for reading: openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS),
// close-on-exec, a regular file with one link. `root` itself is trusted. Throws InvalidArgument for a path that leaves the root,
// meets a symbolic link or is not a plain file, NotFound if there is none, Unavailable if it may not be read or the kernel has no
// openat2 (Linux < 5.6).
FileDescriptor open_beneath(const std::filesystem::path& root, std::string_view relative);

// Opens a file as the user named it (a path from the command line: symlinks are followed) for reading. Throws NotFound, InvalidArgument if it is
// not a regular file, Unavailable if it may not be read.
FileDescriptor open_regular(const std::filesystem::path& path);
// Bytes of an open file, as of now. Throws InvalidArgument naming `path` if it is not a regular one.
int64_t size_of_file(const FileDescriptor& file, const std::filesystem::path& path);

// The whole file as the user named it. Throws NotFound, or InvalidArgument
// if it is not a regular file or larger than `limit` bytes, naming path, size and limit; Unavailable if it cannot be read.
std::string read_file(const std::filesystem::path& path, int64_t limit);
// The same for a file beneath a root; errors as of open_beneath too.
std::string read_file_beneath(const std::filesystem::path& root, std::string_view relative, int64_t limit);

// Writes to a temporary name in the same folder, fsyncs file and folder, renames. After a crash or on a full disk `path` is what
// it was before. A symlink is followed. Throws NotFound if the folder is missing, InvalidArgument if `path` is something other
// than a regular file, else Unavailable naming path and cause ("No space left on device").
void write_file(const std::filesystem::path& path, std::string_view content);
void write_file(const std::filesystem::path& path, std::span<const std::string_view> pieces);

// SHA-256 of the bytes, 64 lower-case hex digits (FIPS 180-4).
std::string sha256(std::string_view bytes);
// The same of a regular file of any size, read in pieces. Throws as read_file does.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace tandem
