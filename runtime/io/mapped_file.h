// A file as memory. Only for weights of a program that may end with its file: who cuts a mapped file short ends every process that reads on
// (SIGBUS). What must live on reads instead (read_exactly).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "runtime/io/file_descriptor.h"

namespace tandem {

// The whole of a regular file, private: pages that are written to are copies. Unmapped at the end.
class MappedFile {
 public:
  // `size` as the file system tells it. Throws Unavailable naming `path`.
  MappedFile(const FileDescriptor& file, int64_t size, const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

// A handle on a part of the file. When the last copy of it goes, the pages that lie wholly in the part leave memory; those who still read them
// get them from the file again.
std::shared_ptr<std::byte[]> part_of(std::shared_ptr<MappedFile> file, int64_t offset, int64_t bytes);

// Maps the file from `offset` on, to be read only, in place of `room`, which is whole pages of its own and goes back to the system as they do. False,
// and nothing has happened, if the offset is not that of a page. Throws Unavailable naming `path`.
bool map_over(std::span<std::byte> room, const FileDescriptor& file, int64_t offset, const std::string& path);

// Fills `to` from `offset`. Throws InvalidArgument naming `path` and the bytes missing if the file ends before, Unavailable if it cannot be read.
void read_exactly(const FileDescriptor& file, std::span<std::byte> to, int64_t offset, const std::string& path);

}  // namespace tandem
